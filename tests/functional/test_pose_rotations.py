"""Turns of poses, and bones that join keypoints."""

from itertools import combinations

import numpy as np
import pytest

from mmdistill.functional.pose_rotations import (
    direction_concentration,
    median_distances,
    pose_rotations,
    spanning_bones,
)
from tests.helpers.recipe_data import MOUSE_POSE, PERSON_POSE, turned


def poses(pose, angles, seed=0):
    """Turned, shifted and scaled poses."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            turned(pose, angle) * rng.uniform(5, 50) + rng.uniform(0, 300, 2)
            for angle in angles
        ]
    )


def wrapped(degrees):
    return (np.asarray(degrees) + 180) % 360 - 180


@pytest.mark.parametrize('pose', [MOUSE_POSE, PERSON_POSE], ids=['mouse', 'person'])
@pytest.mark.parametrize(
    'angles', [[0, 10, -10], [0, 90, 170, -100], list(range(0, 360, 20)), [40] * 3]
)
def test_turns_are_those_that_were_made(pose, angles):
    points = poses(pose, angles)
    turns = pose_rotations(points, np.ones(points.shape[:2], bool))

    relative = wrapped(turns - turns[0])
    np.testing.assert_allclose(
        wrapped(relative - wrapped(np.subtract(angles, angles[0]))), 0, atol=1e-6
    )


def test_turns_are_around_their_mean():
    points = poses(PERSON_POSE, [20, 30, 50])
    turns = pose_rotations(points, np.ones(points.shape[:2], bool))
    assert abs(np.angle(np.exp(1j * np.radians(turns)).sum())) < 1e-9


def test_keypoints_that_are_unknown_do_not_count():
    points = poses(PERSON_POSE, [0, 60, -60, 0])
    visible = np.ones(points.shape[:2], bool)
    visible[1, :3] = visible[2, 7:] = False
    points[~visible] = 9999

    turns = pose_rotations(points, visible)

    np.testing.assert_allclose(turns, [0, 60, -60, 0], atol=12)


def test_an_instance_without_direction_is_not_a_number():
    points = poses(PERSON_POSE, [0, 0, 0])
    visible = np.ones(points.shape[:2], bool)
    visible[1, 1:] = visible[2] = False
    assert np.isnan(pose_rotations(points, visible)).tolist() == [False, True, True]
    assert np.isnan(pose_rotations(points, visible & False)).all()


def test_points_in_one_place_have_any_turn():
    turns = pose_rotations(np.ones((2, 3, 2)), np.ones((2, 3), bool))
    assert np.isfinite(turns).all()


def test_concentration_is_the_length_of_the_mean_direction():
    turns = np.array([10.0, 70.0, np.nan])
    expected = np.cos(np.radians(30))
    assert direction_concentration(turns) == pytest.approx(expected)
    assert direction_concentration(np.array([np.nan])) == 1


def length(bones, points):
    return sum(np.linalg.norm(points[a] - points[b]) for a, b in bones)


def joins_all(bones, number):
    group = {0}
    for _ in range(number):
        group |= {end for bone in bones if group & set(bone) for end in bone}
    return len(group) == number


@pytest.mark.parametrize('seed', range(5))
def test_bones_are_the_shortest_of_all_trees(seed):
    points = np.random.default_rng(seed).uniform(0, 100, (5, 2))
    bones = spanning_bones(points[None], np.ones((1, 5), bool))

    trees = combinations(combinations(range(5), 2), 4)
    best = min(length(tree, points) for tree in trees if joins_all(tree, 5))

    assert joins_all(bones, 5)
    assert length(bones, points) == pytest.approx(best)


def test_keypoints_that_never_meet_are_not_joined():
    points = np.random.default_rng(0).uniform(0, 9, (2, 3, 2))
    visible = np.array([[True, True, False], [False, False, True]])
    assert spanning_bones(points, visible) == [(0, 1)]


def test_median_distances_are_those_of_a_loop():
    rng = np.random.default_rng(3)
    points, visible = rng.uniform(0, 50, (6, 4, 2)), rng.random((6, 4)) < 0.7
    medians = median_distances(points, visible)

    for i in range(4):
        for j in range(4):
            gaps = []
            for pose, seen in zip(points, visible, strict=True):
                known = pose[seen]
                extent = max(np.ptp(known, axis=0)) if len(known) else 0
                if seen[i] and seen[j] and extent > 0:
                    gaps.append(np.linalg.norm(pose[i] - pose[j]) / extent)
            expected = np.median(gaps) if gaps else np.inf
            assert medians[i, j] == pytest.approx(expected)
