"""Matching of candidates against xtcocotools, the evaluation of MMPose's metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmpose.evaluation.functional import oks_nms

from mmdistill.functional.oks import (
    TrueInstances,
    distinct_poses,
    instance_similarity,
    keypoint_errors,
    match,
    similarity,
)
from tests.helpers.coco_evaluation import (
    SIGMAS,
    draw_keypoints,
    draw_truth,
    evaluate,
    seeds,
)


@given(seeds, st.integers(1, 5))
def test_similarity_is_cocos(seed, count):
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, count)
    keypoints = draw_keypoints(rng, truth)
    scores = -np.arange(len(keypoints))

    expected = evaluate([(keypoints, scores, truth)]).ious[1, 1]

    np.testing.assert_allclose(similarity(keypoints, truth, SIGMAS), expected)


@given(seeds, st.integers(1, 5))
def test_matches_are_cocos_at_every_oks(seed, count):
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, count)
    keypoints = draw_keypoints(rng, truth)
    evaluation = evaluate([(keypoints, -np.arange(len(keypoints)), truth)])
    similar = similarity(keypoints, truth, SIGMAS)

    expected = evaluation.evalImgs[0]['dtMatches'] - 1
    expected = np.where(expected < 0, -1, expected)
    thresholds = evaluation.params.iouThrs
    found = [match(similar, truth, thr) for thr in thresholds]
    assert np.array_equal(found, expected)


def alike(count: int) -> TrueInstances:
    """Instances of area 100 at x = 0, 10, 20, ..., all keypoints annotated."""
    x = 10.0 * np.arange(count)
    keypoints = np.zeros((count, 3, 2))
    keypoints[..., 0] = x[:, None]
    boxes = np.column_stack([x, 0 * x, x + 10, 0 * x + 10])
    none = np.zeros(count, dtype=bool)
    areas = np.full(count, 100.0)
    all_labeled, same = np.ones((count, 3), bool), np.ones(count, dtype=np.int32)
    return TrueInstances(keypoints, all_labeled, areas, boxes, none, none, same)


def test_errors_are_shares_of_the_square_root_of_the_area():
    truth = alike(2)
    off = truth.keypoints[[1]] + (3, 4)

    errors = keypoint_errors(off, truth, np.array([1]))

    assert errors == pytest.approx(np.full((1, 3), 0.5))


def test_a_keypoint_without_annotation_and_a_candidate_without_truth_have_no_error():
    truth = alike(1)
    truth.labeled[0, 1] = False
    poses = np.repeat(truth.keypoints, 2, axis=0)

    errors = keypoint_errors(poses, truth, np.array([0, -1]))

    assert np.isnan(errors).tolist() == [[False, True, False], [True] * 3]


def test_an_image_without_people_matches_nothing():
    nobody = alike(0)
    similar = similarity(np.zeros((2, 3, 2)), nobody, SIGMAS)
    assert match(similar, nobody, 0.5).tolist() == [-1, -1]


@given(seeds)
def test_oks_of_paired_poses_is_that_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng, 6)
    labeled = truth.labeled | (np.arange(3) == 0)
    truth = replace(truth, labeled=labeled)
    poses = truth.keypoints + rng.normal(0, 5, truth.keypoints.shape)
    distances = np.linalg.norm(poses - truth.keypoints, axis=-1)

    paired = instance_similarity(distances, labeled, truth.areas, SIGMAS)

    assert paired == pytest.approx(similarity(poses, truth, SIGMAS).diagonal())


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_distinct_poses_are_those_of_mmposes_slow_loop(seed, dtype):
    rng = np.random.default_rng(seed)
    count, sigmas = 60, rng.uniform(0.02, 0.1, 17)
    people = rng.uniform(0, 200, (12, 1, 2)) + rng.uniform(-40, 40, (12, 17, 2))
    keypoints = people[rng.integers(0, 12, count)] + rng.normal(0, 4, (count, 17, 2))
    keypoints, areas = keypoints.astype(dtype), rng.uniform(1e3, 9e3, count)
    # Of equal scores as well, whose order is that of MMPose too.
    scores = rng.integers(0, 20, count).astype(dtype) / 20
    areas = areas.astype(dtype)
    poses = [
        dict(keypoints=np.column_stack([k, k[:, 0]]), score=score, area=area)
        for k, score, area in zip(keypoints, scores, areas, strict=True)
    ]

    for thr in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0):
        kept = distinct_poses(keypoints, scores, areas, sigmas, thr)

        assert kept.tolist() == oks_nms(poses, thr, sigmas).tolist()
    assert 0 < len(distinct_poses(keypoints, scores, areas, sigmas, 0.3)) < count


def test_poses_too_far_apart_for_their_precision_are_distinct():
    keypoints = np.float32([[[0, 0]], [[1e30, 0]], [[-1e38, 1e38]], [[1, 0]]])
    areas = np.float32([100, np.inf, np.inf, 100])

    kept = distinct_poses(keypoints, np.float32([4, 3, 2, 1]), areas, np.ones(1), 0.5)

    assert kept.tolist() == [0, 1, 2]


def test_of_no_poses_none_is_distinct():
    none = distinct_poses(np.zeros((0, 3, 2)), *np.zeros((2, 0)), np.ones(3), 0.9)

    assert none.tolist() == []
    assert none.dtype == np.int64
