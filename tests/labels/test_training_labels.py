"""What training gets, against the rows one by one."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.labels.training_labels import read_training_labels

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
    tmp_path, rows, make_store, score_thr, keypoint_thr
):
    labels = read_training_labels(make_store(tmp_path, rows), score_thr, keypoint_thr)
    expected = [
        (row.path, number, box, row.candidates.keypoints[i], seen)
        for number, row in enumerate(rows)
        for i in range(len(row.candidates))
        for box in [np.clip(row.candidates.bboxes[i], 0, [63, 47, 63, 47])]
        for seen in [row.candidates.keypoint_scores[i] > keypoint_thr]
        if row.candidates.instance_scores[i] >= score_thr
        and any(seen)
        and box[2] > box[0]
    ]
    assert len(labels) == len(expected) > 0
    for i, (path, number, box, keypoints, seen) in enumerate(expected):
        assert labels.paths[int(labels.path_index[i])].as_py() == path
        assert labels.image_index[i] == number
        assert np.array_equal(labels.bboxes[i], box)
        assert np.array_equal(labels.keypoints[i], keypoints)
        assert np.array_equal(labels.visible[i], seen)


def test_only_paths_with_labels_are_held(tmp_path, rows, make_store):
    labels = read_training_labels(make_store(tmp_path, rows), 0, 0.3)
    assert labels.paths.to_pylist() == ['000.png', '003.png', '004.png', '006.png']


def test_all_candidates_are_counted(tmp_path, rows, make_store):
    labels = read_training_labels(make_store(tmp_path, rows), 2, 0.3)
    best = max(row.candidates.instance_scores.max(initial=0) for row in rows)
    assert (len(labels), labels.num_candidates) == (0, 10)
    assert labels.best_score == best
