"""Stores that hold NaN and infinity are read as if nothing were known there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.functional.scoring import instance_scores
from mmdistill.selection.scores import read_keypoint_scores, read_scores
from mmdistill.selection.training_labels import read_training_labels

SPOILED = (
    *('keypoints', 'keypoint_scores', 'keypoint_agreement'),
    *('bboxes', 'bbox_scores', 'instance_scores'),
)


def spoil(values, column, value):
    values = values.copy()
    place = {3: (1, 4, 0), 1: (1,)}.get(
        values.ndim, (1, 2 if column == 'bboxes' else 4)
    )
    values[place] = value
    return values


@pytest.fixture
def spoiled_store(tmp_path, make_rows, make_store):
    def write(column, value):
        rows = make_rows((2, 0, 3))
        found = rows[2].candidates
        values = spoil(getattr(found, column), column, value)
        rows[2] = replace(rows[2], candidates=replace(found, **{column: values}))
        return make_rows((2, 0, 3))[2].candidates, make_store(tmp_path / 'store', rows)

    return write


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('column', SPOILED)
def test_what_is_read_is_finite_and_the_rest_stays(spoiled_store, column, value):
    right, store = spoiled_store(column, value)
    found = store.read().candidates[2:]

    of_instance = column in ('bboxes', 'bbox_scores')
    of_keypoint = column.startswith('keypoint')
    unknown = np.zeros((3, 17), dtype=bool)
    unknown[1, slice(None) if of_instance else 4] = of_instance or of_keypoint
    assert (found.keypoint_scores[unknown] == 0).all()
    assert (found.keypoint_agreement[unknown] == 0).all()
    if of_keypoint:
        middle = (right.bboxes[1, :2] + right.bboxes[1, 2:]) / 2
        assert found.keypoints[1, 4].tolist() == pytest.approx(middle.tolist())
    for name in ('keypoints', 'keypoint_scores', 'keypoint_agreement'):
        kept = getattr(found, name)[~unknown]
        assert np.array_equal(kept, getattr(right, name)[~unknown])
    for name in SPOILED:
        assert np.isfinite(getattr(found, name)).all()
        assert np.array_equal(
            getattr(found, name)[[0, 2]], getattr(right, name)[[0, 2]]
        )
    expected = instance_scores(found.bbox_scores, found.keypoint_scores)
    assert found.instance_scores[1] == expected[1]


@pytest.mark.parametrize('column', SPOILED)
def test_all_ways_of_reading_agree(spoiled_store, make_selection, column):
    _, store = spoiled_store(column, np.nan)
    found = store.read().candidates
    everything = np.ones(len(found), dtype=bool)
    scores = read_keypoint_scores(store, everything)
    assert np.array_equal(scores, found.keypoint_scores)
    counted = read_scores(store, -1.0, agreement=True).scores
    assert counted.counted.tolist() == (found.keypoint_scores != 0).sum(1).tolist()
    assert np.isfinite(counted.agreement).all()
    labels = read_training_labels(store, make_selection(-1.0, keypoint_thr=-1.0))
    assert np.isfinite(labels.keypoints).all()
    assert labels.visible.sum() == (found.keypoint_scores != 0).sum()
