"""Boxes against slow loops over pairs."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.boxes import boxes_on_image, distinct_boxes


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.maximum(sides, 0).prod()
    areas = [(box[2:] - box[:2]).prod() for box in (a, b)]
    return shared / (sum(areas) - shared)


def slowly(bboxes, scores, classes, score_thr, nms_thr):
    kept: list[int] = []
    for number in sorted(range(len(scores)), key=lambda n: -scores[n]):
        others = [k for k in kept if classes[k] == classes[number]]
        if scores[number] >= score_thr and all(
            overlap(bboxes[k], bboxes[number]) <= nms_thr for k in others
        ):
            kept.append(number)
    return kept


def drawn(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 30, (count, 2))
    bboxes = np.concatenate([low, low + rng.uniform(5, 40, (count, 2))], axis=1)
    scores = rng.integers(0, 20, count) / 20
    return (
        bboxes.astype(np.float32),
        scores.astype(np.float32),
        rng.integers(0, 3, count),
    )


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('nms_thr', [0.3, 0.5, 1.0])
def test_the_best_boxes_stay_as_in_a_slow_loop(seed, nms_thr):
    bboxes, scores, classes = drawn(seed)

    found = distinct_boxes(bboxes, scores, classes, 0.2, nms_thr)

    assert found.tolist() == slowly(bboxes, scores, classes, 0.2, nms_thr)


def test_non_finite_boxes_and_boxes_without_size_are_dropped():
    bboxes = np.float32([[0, 0, 5, 5], [np.nan] * 4, [9, 9, 9, 20], [30, 9, 20, 20]])
    scores = np.float32([np.nan, 0.9, 0.9, 0.9])

    assert distinct_boxes(bboxes, scores, np.zeros(4), 0.0, 0.5).tolist() == []


def test_no_box_is_none_of_them():
    found = distinct_boxes(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0), 0, 1)

    assert (found.shape, found.dtype) == ((0,), np.int64)


def test_boxes_end_at_the_border_of_the_image():
    boxes = np.float32([[-3, -2, 70, 50], [10.26, 5, 20, 20], [80, 60, 90, 70]])

    found = boxes_on_image(boxes, width=64, height=48)

    assert found.tolist() == [
        [0, 0, 64, 48],
        [657 / 64, 5, 20, 20],
        [64, 48, 64, 48],
    ]
