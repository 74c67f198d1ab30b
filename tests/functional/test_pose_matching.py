"""Poses of views are matched and merged as by a slow loop over plain lists."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmdistill.functional.pose_matching import (
    MergedPoses,
    ViewPoses,
    evidence_of,
    join_views,
    match_poses,
    merge_poses,
)

SIGMAS = np.array([0.05, 0.08, 0.1])


def poses_of(
    keypoints: np.ndarray,
    views: list[int],
    scores: list[float] | None = None,
    keypoint_scores: np.ndarray | None = None,
    categories: list[int] | None = None,
) -> ViewPoses:
    """Poses whose boxes are the extents of their keypoints, 10 pixels wider."""
    count = len(views)
    return ViewPoses(
        keypoints=keypoints,
        keypoint_scores=np.ones(keypoints.shape[:2])
        if keypoint_scores is None
        else keypoint_scores,
        bboxes=np.concatenate([keypoints.min(1) - 10, keypoints.max(1) + 10], axis=1),
        scores=np.ones(count) if scores is None else np.array(scores),
        category_ids=np.ones(count, int) if categories is None else categories,
        views=np.array(views),
    )


def crowd(seed: int, people: int = 5, views: int = 4, noise: float = 3.0) -> ViewPoses:
    """People of about 100 pixels that each view finds nine times of ten."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 300, (people, 1, 2)) + rng.uniform(-50, 50, (people, 3, 2))
    found = [(view, i) for view in range(views) for i in range(people)]
    found = [pair for pair in found if rng.random() < 0.9]
    keypoints = np.stack([true[i] for _, i in found])
    return poses_of(
        keypoints + rng.normal(0, noise, keypoints.shape),
        [view for view, _ in found],
        rng.uniform(0.1, 1, len(found)).tolist(),
        rng.uniform(0.1, 1, keypoints.shape[:2]),
        rng.integers(1, 3, len(found)),
    )


def slow_groups(poses: ViewPoses, match_thr: float) -> list[int]:
    """Groups by sums over all members, each time anew."""
    groups = [-1] * len(poses)
    members: list[list[int]] = []
    for row in sorted(range(len(poses)), key=lambda i: -poses.scores[i]):
        best, chosen = -1.0, None
        for number, rows in enumerate(members):
            same = all(poses.category_ids[i] == poses.category_ids[row] for i in rows)
            if not same or any(poses.views[i] == poses.views[row] for i in rows):
                continue
            total = sum(poses.scores[i] for i in rows)
            box = sum(poses.scores[i] * poses.bboxes[i] for i in rows) / total
            area = 0.53 * (box[2] - box[0]) * (box[3] - box[1])
            top = bottom = 0.0
            for k, sigma in enumerate(SIGMAS):
                weights = [poses.scores[i] * poses.keypoint_scores[i, k] for i in rows]
                points = poses.keypoints[rows, k]
                mean = np.average(points, axis=0, weights=weights)
                square = sum((mean - poses.keypoints[row, k]) ** 2)
                near = math.exp(-square / (2 * area * (2 * sigma) ** 2))
                top, bottom = top + sum(weights) * near, bottom + sum(weights)
            if top / bottom > best:
                best, chosen = top / bottom, number
        if chosen is None or best < match_thr:
            chosen = len(members)
            members.append([])
        members[chosen].append(row)
        groups[row] = chosen
    return groups


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('match_thr', [0.0, 0.3, 0.5, 0.9])
def test_groups_are_those_of_a_slow_loop(seed, match_thr):
    poses = crowd(seed)

    assert match_poses(poses, SIGMAS, match_thr).tolist() == slow_groups(
        poses, match_thr
    )


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('match_thr', [0.05, 0.5, 1.0])
def test_groups_of_people_of_all_sizes_are_those_of_a_slow_loop(seed, match_thr):
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.05, 3, 12)
    near = crowd(seed, people=12, views=3, noise=1.0)
    # Each of the poses of a person grows alike around a place of its own.
    grown = near.keypoints * rng.choice(size, (len(near), 1, 1))
    poses = poses_of(
        grown, near.views.tolist(), near.scores.tolist(), near.keypoint_scores
    )

    assert match_poses(poses, SIGMAS, match_thr).tolist() == slow_groups(
        poses, match_thr
    )


@pytest.mark.parametrize('seed', range(3))
def test_a_group_has_one_pose_of_a_view(seed):
    poses = crowd(seed, people=8, noise=20.0)

    groups = match_poses(poses, SIGMAS, 0.1)

    pairs = list(zip(groups.tolist(), poses.views.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


def test_people_far_apart_are_found_once_each():
    people = np.array([[[50, 50], [80, 60], [60, 90]]], float) + np.array(
        [[[0, 0]], [[400, 0]], [[0, 400]]]
    )
    rng = np.random.default_rng(0)
    keypoints = np.concatenate(
        [people + rng.normal(0, 0.5, people.shape) for _ in range(6)]
    )
    poses = poses_of(keypoints, np.repeat(range(6), 3).tolist())

    groups = match_poses(poses, SIGMAS, 0.5)

    assert groups.tolist() == [0, 1, 2] * 6


def test_a_hidden_keypoint_does_not_part_a_person():
    keypoints = np.array([[[50, 50], [80, 60], [60, 90]]] * 2, float)
    keypoints[1, 2] += 200
    seen = np.array([[1.0, 1.0, 0.001], [1.0, 1.0, 1.0]])
    poses = poses_of(keypoints, [0, 1], [0.9, 0.5])

    apart = match_poses(poses, SIGMAS, 0.8)
    together = match_poses(poses_of(keypoints, [0, 1], [0.9, 0.5], seen), SIGMAS, 0.8)

    assert apart.tolist() == [0, 1]
    assert together.tolist() == [0, 0]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('scores_of_all', [False, True])
def test_fused_poses_are_those_of_a_slow_loop(seed, scores_of_all):
    poses = crowd(seed)
    groups = match_poses(poses, SIGMAS, 0.3)
    num_views = 6

    merged = merge_poses(poses, groups, num_views, SIGMAS, scores_of_all)

    rows_of = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
    rows_of.sort(key=lambda rows: -poses.scores[rows].sum())
    for number, rows in enumerate(rows_of):
        scores = poses.scores[rows]
        assert merged.scores[number] == pytest.approx(scores.sum() / num_views)
        assert merged.num_views[number] == len(rows)
        assert merged.category_ids[number] == poses.category_ids[rows[0]]
        box = np.average(poses.bboxes[rows], axis=0, weights=scores)
        np.testing.assert_allclose(merged.bboxes[number], box)
        area = 0.53 * (box[2] - box[0]) * (box[3] - box[1])
        counted = num_views if scores_of_all else len(rows)
        for k, sigma in enumerate(SIGMAS):
            points = poses.keypoints[rows, k]
            weights = scores * poses.keypoint_scores[rows, k]
            mean = np.average(points, axis=0, weights=weights)
            spread = np.average(((points - mean) ** 2).sum(1), weights=weights)
            agreement = math.exp(-spread / (2 * area * (2 * sigma) ** 2))
            np.testing.assert_allclose(merged.keypoints[number, k], mean)
            assert merged.keypoint_scores[number, k] == pytest.approx(
                poses.keypoint_scores[rows, k].sum() / counted
            )
            assert merged.keypoint_agreement[number, k] == pytest.approx(
                agreement * len(rows) / num_views
            )


def test_one_view_alone_stays_as_it_is():
    poses = crowd(1, people=7, views=1)
    order = np.argsort(-poses.scores, kind='stable')

    merged = merge_poses(poses, match_poses(poses, SIGMAS, 0.5), 1, SIGMAS)

    np.testing.assert_array_equal(merged.keypoints, poses.keypoints[order])
    np.testing.assert_array_equal(merged.keypoint_scores, poses.keypoint_scores[order])
    np.testing.assert_array_equal(merged.bboxes, poses.bboxes[order])
    np.testing.assert_array_equal(merged.scores, poses.scores[order])
    np.testing.assert_array_equal(merged.keypoint_agreement, 1)


def test_a_keypoint_that_no_view_has_evidence_of_stays_with_the_best_pose():
    keypoints = np.array([[[50, 50], [80, 60], [60, 90]]] * 2, float)
    keypoints[1] += 1
    none = np.array([[1.0, 1.0, 0.0]] * 2)
    poses = poses_of(keypoints, [0, 1], [0.4, 0.6], none)

    merged = merge_poses(poses, np.array([0, 0]), 2, SIGMAS)

    assert merged.keypoints[0, 2].tolist() == [61, 91]
    assert merged.keypoint_scores[0, 2] == 0
    assert merged.keypoints[0, 0, 0] == pytest.approx(50.6)


def test_each_group_may_have_been_shown_in_other_views():
    poses = crowd(2, people=2, views=3)
    groups = match_poses(poses, SIGMAS, 0.3)
    shown = np.arange(groups.max() + 1) + 4

    merged = merge_poses(poses, groups, shown, SIGMAS)

    expected = [poses.scores[groups == g].sum() / shown[g] for g in range(len(shown))]
    np.testing.assert_allclose(merged.scores, sorted(expected, reverse=True))


def test_scores_without_evidence_make_no_weights():
    poses = poses_of(np.zeros((2, 3, 2)), [0, 1], [0.0, 0.0])

    merged = merge_poses(poses, match_poses(poses, SIGMAS, 0.5), 2, SIGMAS)

    assert len(merged) == 1
    assert np.isfinite(merged.bboxes).all()
    assert evidence_of(np.array([-1.0]), np.array([[1.0]])).tolist() == [[0.0]]


def test_no_poses_are_no_instances():
    none = crowd(0)[np.zeros(0, dtype=int)]

    merged = merge_poses(join_views([none]), match_poses(none, SIGMAS, 0.5), 4, SIGMAS)

    assert isinstance(merged, MergedPoses)
    assert merged.keypoints.shape == (0, 3, 2)
    assert merged.keypoint_agreement.shape == (0, 3)
