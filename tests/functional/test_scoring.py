"""Tests of instance scores, against a loop over keypoints."""

import numpy as np

from mmdistill.functional.scoring import UNKNOWN_SIGMA, instance_scores, known_sigmas


def score_by_loop(bbox_score, keypoint_scores, keypoint_thr):
    """The ``bbox_keypoint`` score of one instance, as CocoMetric defines it."""
    counting = [score for score in keypoint_scores if score > keypoint_thr]
    return bbox_score * (sum(counting) / len(counting) if counting else 0.0)


def test_scores_equal_a_loop():
    random = np.random.default_rng(0)
    boxes, keypoints = random.random(50), random.random((50, 17)) * 0.4
    expected = [
        score_by_loop(box, scores, 0.2)
        for box, scores in zip(boxes, keypoints, strict=True)
    ]
    np.testing.assert_allclose(instance_scores(boxes, keypoints), expected, rtol=1e-6)


def test_the_threshold_itself_does_not_count():
    scores = instance_scores(np.ones(1), np.array([[0.5, 1.0]]), keypoint_thr=0.5)
    assert scores.tolist() == [1.0]


def test_an_instance_without_counting_keypoints_scores_zero():
    assert instance_scores(np.ones(1), np.full((1, 4), 0.1)).tolist() == [0.0]


def test_no_instances_have_no_scores():
    scores = instance_scores(np.zeros(0), np.zeros((0, 17)))
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_sigmas_of_a_data_set_stay():
    assert known_sigmas([0.1, 0.2], 2).tolist() == [0.1, 0.2]


def test_a_data_set_without_sigmas_has_one_a_keypoint():
    for none in (None, [], np.zeros(0)):
        assert known_sigmas(none, 3).tolist() == [UNKNOWN_SIGMA] * 3
