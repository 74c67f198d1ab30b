"""Churn against slow loops and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.churn import (
    PosedInstances,
    moved_keypoints,
    same_instances,
)

SIGMAS = np.array([0.05, 0.1, 0.08])


def drawn(rng, images: np.ndarray) -> PosedInstances:
    keypoints = rng.uniform(0, 40, (len(images), 3, 2))
    low = rng.uniform(0, 10, (len(images), 2))
    boxes = np.concatenate([low, low + rng.uniform(20, 40, (len(images), 2))], axis=1)
    return PosedInstances(keypoints, boxes, np.sort(images))


def oks(pose, other, box) -> float:
    area = 0.53 * (box[2] - box[0]) * (box[3] - box[1])
    terms = []
    for (x, y), (u, v), sigma in zip(pose, other, SIGMAS, strict=True):
        squared = (x - u) ** 2 + (y - v) ** 2
        terms.append(np.exp(-squared / (2 * area * (2 * sigma) ** 2)))
    return float(np.mean(terms))


def slowly_matched(now, before, oks_thr) -> list[int]:
    """Of each pair of an image, whether each is the other's best."""

    def similar(i, j):
        return oks(now.keypoints[i], before.keypoints[j], before.bboxes[j])

    matches = []
    for i in range(len(now)):
        others = [j for j in range(len(before)) if before.images[j] == now.images[i]]
        match = -1
        if others:
            j = max(others, key=lambda other: similar(i, other))
            rivals = [k for k in range(len(now)) if now.images[k] == now.images[i]]
            best = max(rivals, key=lambda rival: similar(rival, j))
            if best == i and similar(i, j) >= oks_thr:
                match = j
        matches.append(match)
    return matches


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.05, 0.3]))
def test_matches_are_those_of_a_slow_loop(seed, oks_thr):
    rng = np.random.default_rng(seed)
    now = drawn(rng, rng.integers(0, 4, rng.integers(0, 9)))
    before = drawn(rng, rng.integers(0, 4, rng.integers(0, 9)))

    matches = same_instances(now, before, SIGMAS, oks_thr)

    assert matches.tolist() == slowly_matched(now, before, oks_thr)


def test_nobody_is_matched_twice():
    rng = np.random.default_rng(0)
    now = drawn(rng, rng.integers(0, 3, 30))
    before = drawn(rng, rng.integers(0, 3, 30))
    matches = same_instances(now, before, SIGMAS, 0.0)
    matched = matches[matches >= 0]
    assert len(set(matched)) == len(matched) > 5


@given(st.integers(0, 10**6))
def test_moved_keypoints_are_those_of_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    now = drawn(rng, np.zeros(5, dtype=int))
    before = PosedInstances(
        now.keypoints + rng.uniform(-6, 6, now.keypoints.shape), now.bboxes, now.images
    )
    matches = rng.permutation([0, 1, 2, -1, -1])

    moved = moved_keypoints(now, before, matches)

    for i, match in enumerate(matches):
        width = now.bboxes[i, 2] - now.bboxes[i, 0]
        height = now.bboxes[i, 3] - now.bboxes[i, 1]
        for k in range(3):
            gone = np.inf
            if match >= 0:
                x, y = now.keypoints[i, k] - before.keypoints[match, k]
                gone = np.sqrt(x**2 + y**2)
            assert moved[i, k] == (gone > 0.1 * max(width, height))


@pytest.mark.parametrize('factor', [1.0, 7.0])
def test_a_shift_moves_what_it_shifts_by_more_than_a_tenth(factor):
    """Whatever the size of the image."""
    box = np.array([[0.0, 0, 20, 10]]) * factor
    points = np.array([[[5.0, 5], [10, 5], [15, 5]]]) * factor
    shifts = np.array([[[0.0, 1.99], [2.01, 0], [0, 0]]]) * factor
    now = PosedInstances(points, box, np.array([3]))
    before = PosedInstances(points + shifts, box, np.array([3]))
    matches = same_instances(now, before, SIGMAS)
    assert matches.tolist() == [0]
    assert moved_keypoints(now, before, matches).tolist() == [[False, True, False]]
