"""What training gets, against the rows one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.selection.threshold_groups import Threshold
from mmdistill.selection.training_labels import read_training_labels

COUNTS = (2, 0, None, 3, 1, None, 4, 0)


@pytest.fixture
def rows(make_rows):
    """Images with candidates, some of them off their image."""
    rows = make_rows(COUNTS)
    rows[3].candidates.bboxes[1] = [63.5, 2, 80, 40]
    rows[6].candidates.bboxes[0] = [-9, -7, 20, 30]
    return rows


@pytest.mark.parametrize('score_thr', [0, 0.3, 0.5])
@pytest.mark.parametrize('keypoint_thr', [0.3, 0.9])
def test_labels_are_the_rows_that_train_something(
    tmp_path, rows, make_store, make_selection, score_thr, keypoint_thr
):
    selection = make_selection(score_thr, keypoint_thr)
    labels = read_training_labels(make_store(tmp_path, rows), selection)
    expected = [
        (row.path, number, box, row.candidates.keypoints[i], seen, category)
        for number, row in enumerate(rows)
        for i in range(len(row.candidates))
        for box in [np.clip(row.candidates.bboxes[i], 0, [63, 47, 63, 47])]
        for seen in [row.candidates.keypoint_scores[i] > keypoint_thr]
        for category in [row.candidates.category_ids[i]]
        if row.candidates.instance_scores[i] >= score_thr
        and any(seen)
        and box[2] > box[0]
    ]
    assert len(labels) == len(expected) > 0
    for i, (path, number, box, keypoints, seen, category) in enumerate(expected):
        assert labels.paths[int(labels.path_index[i])].as_py() == path
        assert labels.image_index[i] == number
        assert np.array_equal(labels.bboxes[i], box)
        assert np.array_equal(labels.keypoints[i], keypoints)
        assert np.array_equal(labels.visible[i], seen)
        assert labels.category_ids[i] == category


def test_only_paths_with_labels_are_held(tmp_path, rows, make_store, make_selection):
    store = make_store(tmp_path, rows)
    labels = read_training_labels(store, make_selection(0, 0.3))
    assert labels.paths.to_pylist() == ['000.png', '003.png', '004.png', '006.png']


def test_all_candidates_are_counted(tmp_path, rows, make_store, make_selection):
    store = make_store(tmp_path, rows)
    labels = read_training_labels(store, make_selection(2, 0.3))
    best = max(row.candidates.instance_scores.max(initial=0) for row in rows)
    assert (len(labels), labels.num_candidates, labels.num_seen) == (0, 10, 10)
    assert labels.best_score == best


@pytest.mark.parametrize('by', ['agreement', 'both'])
@pytest.mark.parametrize('per', ['all', 'source'])
def test_labels_are_those_that_the_selection_keeps(
    tmp_path, make_rows, make_store, make_selection, by, per
):
    rows = [
        replace(row, source='ab'[number % 2])
        for number, row in enumerate(make_rows(COUNTS))
    ]
    store = make_store(tmp_path, rows)
    limits = dict(a=0.2, b=0.4) if by == 'both' else dict(a=0.5, b=0.45)
    sources = limits if per == 'source' else {None: 0.45}
    drawn = make_selection(0.5)
    selection = replace(
        drawn,
        options=replace(drawn.options, criterion=by, group_by=per),
        thresholds=tuple(Threshold(s, None, limit) for s, limit in sources.items()),
    )
    labels, whole = read_training_labels(store, selection), store.read()
    kept = selection.kept(whole.candidates, whole.candidate_sources)
    assert np.array_equal(labels.keypoints, whole.candidates.keypoints[kept])
    assert 0 < len(labels) < len(kept)
