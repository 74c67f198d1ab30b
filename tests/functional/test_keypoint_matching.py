"""Keypoint thresholds against trying all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmdistill.functional.count_matching import (
    match_keypoint_types,
    match_keypoints,
    visible_keypoints,
)

# Few values, so that ties are the rule.
SCORES = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
    elements=st.integers(-1, 6).map(lambda value: value / 4),
)


def best_distance(scores: np.ndarray, target: float) -> float:
    """How near to a target any threshold brings the number of higher scores."""
    values = scores.ravel().tolist()
    above = [sum(value > thr for value in values) for thr in [*values, -9]]
    return min(abs(count - target) for count in above)


@given(SCORES, st.floats(0, 1))
def test_no_threshold_brings_the_mean_nearer(scores, share):
    mean = share * scores.shape[1]
    visible = visible_keypoints(scores, match_keypoints(scores, mean))
    target = mean * len(scores)
    assert abs(visible.sum() - target) == pytest.approx(best_distance(scores, target))


@given(SCORES, st.data())
def test_no_threshold_of_a_type_brings_its_share_nearer(scores, data):
    shares = data.draw(arrays(float, scores.shape[1], elements=st.floats(0, 1)))
    visible = visible_keypoints(scores, match_keypoint_types(scores, shares))
    for column, seen, share in zip(scores.T, visible.T, shares, strict=True):
        target = share * len(scores)
        assert abs(seen.sum() - target) == pytest.approx(best_distance(column, target))


@given(st.integers(1, 9), st.integers(1, 5), st.floats(0, 1))
def test_equal_scores_are_all_visible_or_none_is(instances, keypoints, share):
    scores = np.full((instances, keypoints), 0.5, dtype=np.float32)
    visible = visible_keypoints(scores, match_keypoints(scores, share * keypoints))
    assert visible.all() == (share > 0.5)
    assert visible.any() == visible.all()


def test_without_instances_nothing_is_visible():
    nothing = np.zeros((0, 3), dtype=np.float32)
    assert match_keypoints(nothing, 2.0) == np.inf
    assert match_keypoint_types(nothing, np.ones(3)).tolist() == [np.inf] * 3


def test_a_keypoint_that_no_label_has_is_never_visible():
    scores = np.array([[0.9, 0.8], [0.7, 0.6]], dtype=np.float32)
    visible = visible_keypoints(scores, match_keypoint_types(scores, np.array([1, 0])))
    assert visible.tolist() == [[True, False], [True, False]]


def test_a_score_equal_to_the_threshold_is_not_visible():
    # 0.3 has no exact float32.
    scores = np.array([0.29, 0.3, 0.31], dtype=np.float32)
    assert visible_keypoints(scores, 0.3).tolist() == [False, False, True]
