"""On the candidates of its own unlabeled set, the outcome is the selection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.unlabeled_selection import (
    SelectionOutcome,
    unlabeled_selection_of,
)
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.selection.threshold_matching import select
from tests.helpers.matched_sources import COUNTS, LABELED, SOURCES

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
def selection_with(store):
    """Select with some options; returns the unlabeled selection."""

    def selection_with(**options):
        select(store, LABELED, SelectionOptions(**options)).write(store)
        return unlabeled_selection_of(store)

    return selection_with


@pytest.mark.parametrize('options', OPTIONS, ids=lambda o: '-'.join(o.values()))
def test_kept_candidates_are_kept_under_their_own_source(
    store, selection_with, options
):
    unlabeled_selection, labels = selection_with(**options), store.read()
    sources = labels.candidate_sources
    kept = unlabeled_selection.selection.kept(labels.candidates, sources)

    outcome = unlabeled_selection.apply(labels.candidates)

    assert 0 < kept.sum() < len(kept)
    for row, source in enumerate(unlabeled_selection.sources):
        mine = np.isin(
            sources.index, [sources.names.index(source)] if source else [0, 1]
        )
        assert np.array_equal(outcome.kept[row, mine], kept[mine])


@pytest.mark.parametrize('by', ['score', 'agreement', 'both'])
def test_a_candidate_is_judged_alike_in_whatever_company(store, selection_with, by):
    unlabeled_selection = selection_with(criterion=by)
    candidates = store.read().candidates
    whole = unlabeled_selection.apply(candidates)
    alone = [unlabeled_selection.apply(candidates[[i]]) for i in range(len(candidates))]
    joined = SelectionOutcome.joined(alone)
    assert np.array_equal(joined.values, whole.values)
    assert np.array_equal(joined.kept, whole.kept)


def test_the_threshold_is_that_of_source_and_category(store, selection_with):
    unlabeled_selection = selection_with(group_by='source')
    candidates = store.read().candidates
    threshold_index = unlabeled_selection.apply(candidates).threshold_index
    for row, source in enumerate(unlabeled_selection.sources):
        for column, index in enumerate(threshold_index[row]):
            threshold = unlabeled_selection.selection.thresholds[index]
            assert threshold.source == source
            assert threshold.category_id == candidates.category_ids[column]


def test_a_category_without_a_threshold_is_never_kept(store, selection_with):
    unlabeled_selection, candidates = selection_with(), store.read().candidates
    unknown = replace(candidates, category_ids=candidates.category_ids * 0 + 9)
    outcome = unlabeled_selection.apply(unknown)
    assert not outcome.kept.any()
    assert (outcome.threshold_index == -1).all()
    assert (outcome.values == -np.inf).all()


def test_shares_are_those_of_the_unlabeled_set(store, selection_with):
    unlabeled_selection, labels = selection_with(group_by='source'), store.read()
    sources = labels.candidate_sources
    kept = unlabeled_selection.selection.kept(labels.candidates, sources)
    labels_of = np.bincount(sources.index[kept], minlength=2)
    assert unlabeled_selection.sources == sources.names
    assert unlabeled_selection.label_shares == pytest.approx(labels_of / kept.sum())
    assert unlabeled_selection.image_shares.tolist() == [0.5, 0.5]


def test_one_threshold_for_all_has_all_shares(selection_with):
    unlabeled_selection = selection_with(categories='together')
    assert unlabeled_selection.sources == (None,)
    assert (
        unlabeled_selection.label_shares.tolist()
        == unlabeled_selection.image_shares.tolist()
        == [1]
    )
