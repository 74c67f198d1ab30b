"""What of a detector's boxes counts: on the image, above a floor, each once.

Where an animal is on a frame, by where it was on the frame before.

Boxes around annotated points, and which boxes have an extent.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torchvision.ops import nms

from mmdistill.functional.quantization import STEPS_PER_PIXEL, rounded


def boxes_on_image(bboxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Boxes cut off at the border of their image, (M, 4).

    Coordinates are rounded to 1/64 pixel, as those of keypoints are.

    Args:
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (M, 4).
        width: Width of the image.
        height: Height of the image.
    """
    most = np.array([width, height, width, height])
    return rounded(np.clip(bboxes, 0, most), STEPS_PER_PIXEL)


def distinct_boxes(
    bboxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    score_thr: float,
    nms_thr: float,
) -> np.ndarray:
    """Which boxes count, best first.

    Of two boxes of one class whose overlap exceeds `nms_thr` the better one stays; of
    equal scores the first. Boxes without a size, and numbers that are none, go.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4), float32.
        scores: Their scores, (M,), float32.
        classes: Their classes, (M,).
        score_thr: Score from which on a box counts.
        nms_thr: Intersection over union.

    Returns:
        Positions among the boxes, (n,), int64.
    """
    sized = (bboxes[:, 2:] > bboxes[:, :2]).all(axis=1)
    good = np.flatnonzero(sized & (scores >= score_thr))
    kept = []
    for each in np.unique(classes[good]):
        rows = good[classes[good] == each]
        # Class by class: shifting the classes apart would cost digits.
        stay = nms(
            torch.from_numpy(bboxes[rows]), torch.from_numpy(scores[rows]), nms_thr
        )
        kept.append(rows[stay.numpy()])
    stay = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *kept]))
    return stay[np.argsort(-scores[stay], kind='stable')]


def propagate_box(
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    image_size: tuple[int, int],
    padding: float,
    score_thr: float,
) -> np.ndarray | None:
    """The box around the keypoints of a pose that is sure enough to be followed.

    A pose is followed when at least half of its keypoints score above `score_thr`.
    The box around these has its longer side magnified by `padding`; the shorter one
    grows by as many pixels, since an animal that is seen lengthwise may turn.

    Args:
        keypoints: Coordinates (x, y) in pixels of the frame before, (K, 2).
        keypoint_scores: Their scores, (K,).
        image_size: Width and height of the frame, pixels.
        padding: Factor, from 1.
        score_thr: Score above which a keypoint counts.

    Returns:
        The box (x1, y1, x2, y2), pixels, clipped to the frame, (4,), float32. None
        where the pose is not sure, or less than a pixel of the box is on the frame.
    """
    sure = keypoint_scores > score_thr
    if 2 * sure.sum() < len(sure):
        return None
    low, high = keypoints[sure].min(axis=0), keypoints[sure].max(axis=0)
    margin = (padding - 1) / 2 * (high - low).max()
    box = np.concatenate([low - margin, high + margin]).astype(np.float32)
    box = box.clip(0, np.tile(image_size, 2)).astype(np.float32)
    return box if (box[2:] - box[:2]).min() >= 1 else None


Size = tuple[int, int]
"""Width and height of an image."""

MARGIN = 0.1
"""Of the longer side of the points, on each side, where a box is made of them."""
LEAST_HALF = 0.05
"""Of the image's longer side: half of the least box that is made of points."""


def box_of_points(points: Sequence[tuple[float, float]], size: Size) -> list[float]:
    """Box (x, y, width, height) around points, within the image.

    Args:
        points: Points (x, y), pixels of the image, at least one.
        size: Width and height of the image.

    >>> box_of_points([(10, 10), (30, 20)], (100, 100))
    [5.0, 8.0, 30.0, 14.0]
    """
    margin = MARGIN * max(
        max(values) - min(values) for values in zip(*points, strict=True)
    )
    least, box = LEAST_HALF * max(size), []
    for values, side in zip(zip(*points, strict=True), size, strict=True):
        middle = (max(values) + min(values)) / 2
        half = max((max(values) - min(values)) / 2 + margin, least)
        # Points may lie beyond the border; a box has to lie within.
        last = side - 1
        low = min(max(middle - half, 0.0), max(last - 1.0, 0.0))
        high = max(min(middle + half, last), low + 1.0)
        box.append((float(low), float(high)))
    (left, right), (top, bottom) = box
    return [left, top, right - left, bottom - top]


def has_extent(box: Any, size: Size) -> bool:
    """Whether a box has an extent within its image, as MMPose clips it.

    Args:
        box: Any value; a box is a list of x, y, width and height.
        size: Width and height of the image.

    >>> has_extent([10, 10, 0, 5], (64, 48)), has_extent([10, 10, 4, 5], (64, 48))
    (False, True)
    """
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return False
    return all(
        min(max(low + extent, 0), side - 1) > min(max(low, 0), side - 1)
        for low, extent, side in zip(box[:2], box[2:], size, strict=True)
    )


def is_real(value: Any) -> bool:
    """Whether a value is a number, finite or not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that float32 holds."""
    return is_real(value) and abs(value) < 2**100
