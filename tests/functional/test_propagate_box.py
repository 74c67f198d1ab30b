"""The box of a frame, by the pose on the frame before."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.boxes import propagate_box

SIZE = (64, 48)


def slow_box(keypoints, scores, size, padding, score_thr):
    """The same, keypoint by keypoint."""
    sure = [p for p, s in zip(keypoints, scores, strict=True) if s > score_thr]
    if len(sure) < len(scores) / 2:
        return None
    xs, ys = [p[0] for p in sure], [p[1] for p in sure]
    longer = max(max(xs) - min(xs), max(ys) - min(ys))
    margin = (longer * padding - longer) / 2
    sides = []
    for values, end in ((xs, size[0]), (ys, size[1])):
        low = min(max(min(values) - margin, 0), end)
        high = min(max(max(values) + margin, 0), end)
        if high - low < 1:
            return None
        sides.append((low, high))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


def test_boxes_are_those_of_a_slow_loop():
    rng = np.random.default_rng(0)
    fates = {'box': 0, 'lost': 0}
    for _ in range(300):
        spread = rng.choice([0.1, 5, 40])
        keypoints = rng.uniform(-10, 70, 2) + spread * rng.normal(size=(5, 2))
        scores, padding = rng.random(5), rng.uniform(1, 3)
        expected = slow_box(keypoints, scores, SIZE, padding, 0.4)
        found = propagate_box(keypoints, scores, SIZE, padding, 0.4)
        fates['lost' if expected is None else 'box'] += 1
        if expected is None:
            assert found is None
        else:
            assert found == pytest.approx(expected, abs=1e-4)
    assert min(fates.values()) > 50


def test_half_of_the_keypoints_are_enough():
    keypoints = np.array([[10, 20], [30, 20], [0, 0], [60, 40]], np.float32)
    box = propagate_box(keypoints, np.array([0.5, 0.4, 0.3, 0.0]), SIZE, 1.5, 0.3)
    assert box.tolist() == [5, 15, 35, 25]
    assert propagate_box(keypoints, np.array([0.5, 0.3, 0.3, 0]), SIZE, 2, 0.3) is None
