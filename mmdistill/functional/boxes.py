"""What of a detector's boxes counts: on the image, above a floor, each once."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import nms

from mmdistill.functional.rounding import STEPS_PER_PIXEL, rounded


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
