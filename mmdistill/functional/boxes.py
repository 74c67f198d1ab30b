"""Boxes of detectors, tracks and annotations: clipping, suppression, propagation.

A detector's boxes are clipped to their image and reduced to distinct ones; a box is
propagated from one frame of a video to the next by the pose in it; and a box is made
around annotated points where an annotation has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from torchvision.ops import nms

from mmdistill.functional.quantization import STEPS_PER_PIXEL, rounded

Size = tuple[int, int]
"""Width and height of an image, pixels."""

MARGIN = 0.1
"""Margin on each side of a box around points, as a share of their longer side."""
LEAST_HALF = 0.05
"""Minimum half side of a box around points, as a share of the image's longer side."""


def boxes_on_image(bboxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """Clip boxes to their image, (M, 4), float32.

    Coordinates are rounded to 1/64 pixel, as those of keypoints are.

    Args:
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (M, 4).
        width: Width of the image.
        height: Height of the image.

    >>> boxes_on_image(np.array([[-5.0, 2.0, 30.0, 12.51]]), 20, 20).tolist()
    [[0.0, 2.0, 20.0, 12.515625]]
    """
    most = np.array([width, height, width, height])
    return rounded(np.clip(bboxes, 0, most), STEPS_PER_PIXEL)


def mirrored_boxes(bboxes: np.ndarray, width: int) -> np.ndarray:
    """Mirror boxes left to right with their image; done twice, they are as before.

    Edges lie between pixels, from 0 to the width, as MMDetection has them.

    Args:
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (M, 4).
        width: Width of the image.

    >>> mirrored_boxes(np.array([[0.0, 2.0, 6.0, 8.0]]), 20).tolist()
    [[14.0, 2.0, 20.0, 8.0]]
    """
    mirrored: np.ndarray = bboxes.copy()
    mirrored[:, [0, 2]] = width - bboxes[:, [2, 0]]
    return mirrored


def distinct_boxes(
    bboxes: np.ndarray,
    scores: np.ndarray,
    classes: np.ndarray,
    score_thr: float,
    nms_thr: float,
) -> np.ndarray:
    """Select boxes by score and non-maximum suppression, best first.

    Of two boxes of one class whose overlap exceeds `nms_thr` the better one is kept; of
    equal scores the first. Boxes without a size or with non-finite values are dropped.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4), float32.
        scores: Their scores, (M,), float32.
        classes: Their classes, (M,).
        score_thr: Minimum score of a box.
        nms_thr: Intersection over union above which two boxes are one.

    Returns:
        Indices of the boxes, (n,), int64.

    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], np.float32)
    >>> scores = np.array([0.8, 0.9, 0.5], np.float32)
    >>> distinct_boxes(boxes, scores, np.zeros(3, int), 0.1, 0.5).tolist()
    [1, 2]
    """
    sized = (bboxes[:, 2:] > bboxes[:, :2]).all(axis=1)
    good = np.flatnonzero(sized & (scores >= score_thr))
    kept = []
    for category in np.unique(classes[good]):
        rows = good[classes[good] == category]
        # Class by class: shifting the classes apart would cost digits.
        distinct = nms(
            torch.from_numpy(bboxes[rows]), torch.from_numpy(scores[rows]), nms_thr
        )
        kept.append(rows[distinct.numpy()])
    indices = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *kept]))
    return indices[np.argsort(-scores[indices], kind='stable')]


def propagate_box(
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    image_size: tuple[int, int],
    padding: float,
    score_thr: float,
) -> np.ndarray | None:
    """Propagate the box of a pose to the next frame of a video.

    A pose is reliable when at least half of its keypoints score above `score_thr`.
    The box around these has its longer side magnified by `padding`; the shorter one
    grows by as many pixels, since an animal that is seen lengthwise may turn.

    Args:
        keypoints: Coordinates (x, y) in pixels of the frame before, (K, 2).
        keypoint_scores: Their scores, (K,).
        image_size: Width and height of the frame, pixels.
        padding: Factor of the longer side, at least 1.
        score_thr: Score above which a keypoint counts.

    Returns:
        The box (x1, y1, x2, y2), pixels, clipped to the frame, (4,), float32. None
        where the pose is not reliable, or less than a pixel of the box is on the frame.

    >>> pose, scores = np.array([[10.0, 10.0], [30.0, 20.0]]), np.array([0.9, 0.8])
    >>> propagate_box(pose, scores, (100, 100), padding=1.5, score_thr=0.3).tolist()
    [5.0, 5.0, 35.0, 25.0]
    """
    counted = keypoint_scores > score_thr
    if 2 * counted.sum() < len(counted):
        return None
    low, high = keypoints[counted].min(axis=0), keypoints[counted].max(axis=0)
    margin = (padding - 1) / 2 * (high - low).max()
    box = np.concatenate([low - margin, high + margin]).astype(np.float32)
    box = box.clip(0, np.tile(image_size, 2)).astype(np.float32)
    return box if (box[2:] - box[:2]).min() >= 1 else None


def box_of_points(points: Sequence[tuple[float, float]], size: Size) -> list[float]:
    """Compute the box (x, y, width, height) around points, within the image.

    Args:
        points: Points (x, y), pixels of the image, at least one.
        size: Width and height of the image.

    >>> box_of_points([(10, 10), (30, 20)], (100, 100))
    [8.0, 8.0, 24.0, 14.0]
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
    """Whether a value is a number, finite or not.

    Args:
        value: Anything, as JSON has it.

    >>> is_real(float('nan')), is_real(True), is_real('1')
    (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that float32 holds.

    Args:
        value: Anything, as JSON has it.

    >>> is_number(2), is_number(float('nan')), is_number(1e40)
    (True, False, False)
    """
    return is_real(value) and abs(value) < 2**100
