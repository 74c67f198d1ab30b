"""On the pile's own candidates the rules are the selection itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.unlabeled_selection import (
    SelectionOutcome,
    unlabeled_selection_of,
)
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.selection.matching import select
from tests.selection.test_matching_rules import COUNTS, LABELED, SOURCES

OPTIONS = [
    dict(criterion=by, group_by=per, categories=categories)
    for by in ('score', 'agreement', 'both')
    for per in ('all', 'source')
    for categories in ('together', 'each')
]


@pytest.fixture
def store(tmp_path, make_rows, make_store):
    """31 candidates of two sources and three categories."""
    rows = zip(make_rows(COUNTS), SOURCES, strict=True)
    named = [replace(row, source=source) for row, source in rows]
    return make_store(tmp_path / 'store', named)


@pytest.fixture
def rules_with(store):
    """Select with some options; the rules of that."""

    def rules_with(**options):
        select(store, LABELED, SelectionOptions(**options)).write(store)
        return unlabeled_selection_of(store)

    return rules_with


@pytest.mark.parametrize('options', OPTIONS, ids=lambda o: '-'.join(o.values()))
def test_what_the_pile_keeps_is_kept_under_its_own_source(store, rules_with, options):
    rules, labels = rules_with(**options), store.read()
    sources = labels.candidate_sources
    kept = rules.selection.kept(labels.candidates, sources)

    judged = rules.judged(labels.candidates)

    assert 0 < kept.sum() < len(kept)
    for row, source in enumerate(rules.sources):
        mine = np.isin(
            sources.index, [sources.names.index(source)] if source else [0, 1]
        )
        assert np.array_equal(judged.kept[row, mine], kept[mine])


@pytest.mark.parametrize('by', ['score', 'agreement', 'both'])
def test_a_candidate_is_judged_alike_in_whatever_company(store, rules_with, by):
    rules, candidates = rules_with(criterion=by), store.read().candidates
    whole = rules.judged(candidates)
    alone = [rules.judged(candidates[[i]]) for i in range(len(candidates))]
    joined = SelectionOutcome.joined(alone)
    assert np.array_equal(joined.values, whole.values)
    assert np.array_equal(joined.kept, whole.kept)


def test_the_threshold_is_that_of_source_and_category(store, rules_with):
    rules, candidates = rules_with(group_by='source'), store.read().candidates
    places = rules.judged(candidates).places
    for row, source in enumerate(rules.sources):
        for column, place in enumerate(places[row]):
            threshold = rules.selection.thresholds[place]
            assert threshold.source == source
            assert threshold.category_id == candidates.category_ids[column]


def test_a_category_without_a_threshold_is_never_kept(store, rules_with):
    rules, candidates = rules_with(), store.read().candidates
    unknown = replace(candidates, category_ids=candidates.category_ids * 0 + 9)
    judged = rules.judged(unknown)
    assert not judged.kept.any()
    assert (judged.places == -1).all()
    assert (judged.values == -np.inf).all()


def test_shares_are_those_of_the_pile(store, rules_with):
    rules, labels = rules_with(group_by='source'), store.read()
    sources = labels.candidate_sources
    kept = rules.selection.kept(labels.candidates, sources)
    labels_of = np.bincount(sources.index[kept], minlength=2)
    assert rules.sources == sources.names
    assert rules.label_shares == pytest.approx(labels_of / kept.sum())
    assert rules.image_shares.tolist() == [0.5, 0.5]


def test_one_threshold_for_all_has_all_shares(rules_with):
    rules = rules_with(categories='together')
    assert rules.sources == (None,)
    assert rules.label_shares.tolist() == rules.image_shares.tolist() == [1]
