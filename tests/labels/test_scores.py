"""Scores of a store against its rows, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.labels.scores import read_scores

COUNTS = (2, 0, None, 3, 1, None, 4)


@pytest.mark.parametrize('keypoint_thr', [0.2, 0.95, 2])
def test_scores_are_those_of_the_rows(tmp_path, make_rows, make_store, keypoint_thr):
    rows = make_rows(COUNTS)
    scores = read_scores(make_store(tmp_path, rows), keypoint_thr)
    expected = [
        candidates.instance_scores[i]
        for candidates in (row.candidates for row in rows)
        for i in range(len(candidates))
        if max(candidates.keypoint_scores[i]) > keypoint_thr
    ]
    assert np.array_equal(scores.selectable, np.float32(expected))
    assert (scores.images, scores.failed, scores.candidates) == (5, 2, 10)
    assert scores.first_failure == 'no such file'


def test_a_store_without_failures_has_no_reason(tmp_path, make_rows, make_store):
    scores = read_scores(make_store(tmp_path, make_rows((1, 0))), 0.2)
    assert (scores.failed, scores.first_failure) == (0, '')
