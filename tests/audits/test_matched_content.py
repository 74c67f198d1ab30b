"""Figures of several thresholds against counting them one after the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.candidates import match_candidates
from mmdistill.audits.metrics import label_weights, measure, measure_labels
from mmdistill.audits.unlabeled_selection import (
    UnlabeledSelection,
    unlabeled_selection_of,
)
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.selection.counts import Part
from mmdistill.selection.export import export_coco
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.selection.threshold_matching import select
from tests.helpers.matched_sources import COUNTS, LABELED, SOURCES
from tests.helpers.metainfo import SIGMAS

LOW, HIGH = 0.3, 0.6


@pytest.fixture
def two_sources(make_selection) -> UnlabeledSelection:
    """An unlabeled set with 30 labels of 10 images in source a, 10 of 90 in b."""
    parts = tuple(
        Part(source, 1, thr, images, 50, kept, 80, 39, 1.5)
        for source, thr, images, kept in (('a', LOW, 10, 30), ('b', HIGH, 90, 10))
    )
    selection = make_selection(0.5, -1.0)
    return UnlabeledSelection(
        replace(
            selection,
            options=SelectionOptions(group_by='source'),
            thresholds=(Threshold('a', None, LOW), Threshold('b', None, HIGH)),
            parts=parts,
            unlabeled=replace(selection.unlabeled, images=100),
        )
    )


@pytest.fixture
def candidates(perfect, two_sources):
    """Six candidates of which every other one is wrong."""
    found = match_candidates(*perfect, SIGMAS, two_sources)
    correct = np.tile(np.arange(6) % 2 == 0, (10, 1))
    return replace(found, correct=correct, errors=found.errors + np.arange(6)[:, None])


def test_a_source_is_weighted_by_its_labels_in_the_unlabeled_set(
    candidates, two_sources
):
    matched = measure_labels(candidates, two_sources)
    masks = [candidates.scores >= np.float32(thr) for thr in (LOW, HIGH)]
    assert 0 < masks[1].sum() < masks[0].sum()
    precisions = [candidates.correct[0][mask].mean() for mask in masks]
    recalls = [candidates.correct[0][mask].sum() / 6 for mask in masks]
    errors = [candidates.errors[mask].mean() for mask in masks]
    assert matched.precision['0.5'] == pytest.approx(np.dot([0.75, 0.25], precisions))
    assert matched.recall['0.5'] == pytest.approx(np.dot([0.1, 0.9], recalls))
    assert matched.error.mean == pytest.approx(np.dot([0.75, 0.25], errors))
    assert [part.precision['0.5'] for part in matched.parts] == precisions
    assert [part.recall['0.5'] for part in matched.parts] == recalls
    assert [part.labels for part in matched.parts] == [30, 10]
    assert [part.kept for part in matched.parts] == [m.sum() for m in masks]


def test_weights_are_as_many_as_labels_on_average(candidates, two_sources):
    counts = candidates.outcome.kept.sum(axis=1)
    total = label_weights(candidates, two_sources).sum()
    assert total == pytest.approx(np.dot([0.75, 0.25], counts))


def test_the_sentence_says_how_sources_were_treated(
    candidates, two_sources, coco_names
):
    audit = measure(dict(fused=candidates), coco_names, two_sources, False)
    assert audit.verdict.startswith('At the matched thresholds 0.300 to 0.600 about')
    assert 'of none of the 2 sources, so each' in audit.verdict


@pytest.mark.parametrize('by', ['score', 'agreement', 'both'])
@pytest.mark.parametrize('per', ['all', 'source'])
def test_any_selection_is_audited(
    tmp_path, make_rows, make_store, make_selection, coco_names, by, per
):
    rows = zip(make_rows(COUNTS), SOURCES, strict=True)
    named = [replace(row, source=source) for row, source in rows]
    store = make_store(tmp_path / 'store', named)
    truth = tmp_path / 'truth.json'
    export_coco(store, make_selection(-1, -1.0), truth, 'person')
    select(store, LABELED, SelectionOptions(criterion=by, group_by=per)).write(store)
    selection = unlabeled_selection_of(store)

    candidates = match_candidates(store, truth, SIGMAS, selection)
    audit = measure(dict(fused=candidates), coco_names, selection, False)

    # The labels themselves are the truth.
    assert audit.matched.precision == {'0.5': 1, '0.75': 1}
    assert not np.isnan(audit.matched.parts[0].score_thr)
    curve = audit.curve
    usable = candidates.outcome.values[np.isfinite(candidates.outcome.values)]
    assert curve.thresholds[0] == usable.min()
    assert curve.thresholds[-1] == usable.max()
    assert curve.recall['0.5'][0] == pytest.approx(1)
    assert curve.precision['0.5'].tolist() == [1] * 101
