"""Which part of its box a pose fills, and boxes that are fitted around poses.

A top-down teacher has learned the boxes of its labeled set: how large an object is in
them, and how far its keypoints lie from their sides. In other boxes it errs more.

Shapes: `N` instances, `K` keypoints. The extent of a pose is the smallest box around
those of its keypoints that count. Margins are lengths in diagonals of the extent,
which is never flat, however an object lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmdistill.functional.quantization import STEPS_PER_PIXEL, rounded

MEASURED_SHARE = 0.75
"""Share of the usual number of keypoints without which an extent says nothing."""
FITTED_SHARE = 0.5
"""Share of the usual number of keypoints that a box can be fitted around."""
MATERIAL_FACTOR = 1.2
"""Factor between two fills from which on boxes are unlike each other; a teacher is
trained with boxes that are magnified at random, by 1.25 and more in MMPose's recipes.
"""


@dataclass(frozen=True)
class PoseFill:
    """How poses lie in their boxes: medians over some instances.

    Attributes:
        width: Share of a box's width that the extent of a pose takes.
        height: Share of its height.
        margins: From the extent to the left, upper, right and lower side of the box,
            in diagonals of the extent; negative where keypoints lie outside.
        overlap: Intersection over union of a box and of the extent with these margins:
            low where boxes do not follow the poses in them, as whole images do not.
        keypoints: Keypoints that count on an instance.
        poses: Instances that were measured.
    """

    width: float
    height: float
    margins: tuple[float, float, float, float]
    overlap: float
    keypoints: float
    poses: int

    def differs_from(self, other: PoseFill) -> bool:
        """Whether a teacher that learned the other's boxes would notice.

        Args:
            other: The fill of other boxes.
        """
        pairs = ((self.width, other.width), (self.height, other.height))
        return any(max(a, b) > MATERIAL_FACTOR * min(a, b) for a, b in pairs)


def measure_fill(
    bboxes: np.ndarray,
    keypoints: np.ndarray,
    counted: np.ndarray,
    usual_keypoints: float | None = None,
) -> PoseFill | None:
    """Measure which part of its box a pose fills.

    Instances that show less than three quarters of the usual number of keypoints are
    left out, as are those without an extent: one keypoint says nothing of a box.

    >>> boxes = np.array([[0.0, 0.0, 10.0, 20.0]])
    >>> ends = np.array([[[2.0, 4.0], [8.0, 12.0]]])
    >>> fill = measure_fill(boxes, ends, np.ones((1, 2), dtype=bool))
    >>> fill.width, fill.height, fill.margins
    (0.6, 0.4, (0.2, 0.4, 0.2, 0.8))

    Args:
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (N, 4).
        keypoints: Coordinates (x, y) in pixels, (N, K, 2).
        counted: Which keypoints count, bool, (N, K).
        usual_keypoints: How many count on a whole object; by default the median of
            those instances that have any.

    Returns:
        The medians; None where no instance can be measured.
    """
    counted = counted & np.isfinite(keypoints).all(axis=-1)
    counts = counted.sum(axis=1)
    if usual_keypoints is None:
        usual_keypoints = float(np.median(counts[counts > 0])) if counts.any() else 0.0
    low, high = _extents(keypoints, counted)
    sides = bboxes[:, 2:] - bboxes[:, :2]
    stay = counts >= least_keypoints(usual_keypoints, MEASURED_SHARE)
    stay &= (sides > 0).all(axis=1) & (high > low).any(axis=1)
    if not stay.any():
        return None
    low, high, sides, bboxes = low[stay], high[stay], sides[stay], bboxes[stay]
    diagonals = np.linalg.norm(high - low, axis=1)[:, None]
    outer = np.concatenate([low - bboxes[:, :2], bboxes[:, 2:] - high], axis=1)
    width, height = np.median((high - low) / sides, axis=0).tolist()
    margins = np.median(outer / diagonals, axis=0)
    left, top, right, bottom = margins.tolist()
    return PoseFill(
        width=width,
        height=height,
        margins=(left, top, right, bottom),
        overlap=float(np.median(_ious(_enlarged(low, high, margins), bboxes))),
        keypoints=usual_keypoints,
        poses=int(stay.sum()),
    )


def least_keypoints(usual_keypoints: float, share: float) -> int:
    """Keypoints that an instance must show, at least two of them.

    >>> least_keypoints(17, 0.5), least_keypoints(1, 0.5)
    (9, 2)

    Args:
        usual_keypoints: How many a whole object shows.
        share: Part of them that is enough.
    """
    return max(math.ceil(usual_keypoints * share), 2)


@dataclass(frozen=True)
class BoxFit:
    """How boxes are fitted around poses.

    Attributes:
        margins: What a box adds to the extent of a pose at its left, upper, right and
            lower side, in diagonals of the extent.
        least: Keypoints that must score above `score_thr` for a pose to be sure.
        score_thr: Score above which a keypoint counts.
    """

    margins: tuple[float, float, float, float]
    least: int
    score_thr: float = 0.2

    def as_json(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        return {**asdict(self), 'margins': list(self.margins)}

    @staticmethod
    def of_json(content: Mapping[str, Any]) -> BoxFit:
        """Read what `as_json` gave.

        Args:
            content: The JSON values.
        """
        left, top, right, bottom = content['margins']
        return BoxFit(
            (left, top, right, bottom), content['least'], content['score_thr']
        )

    def is_sure(self, keypoints: np.ndarray, keypoint_scores: np.ndarray) -> np.ndarray:
        """Which poses a box can be fitted around, bool, (N,).

        Args:
            keypoints: Coordinates (x, y) in pixels, (N, K, 2).
            keypoint_scores: Their scores, (N, K).
        """
        return self._counted(keypoints, keypoint_scores).sum(axis=1) >= self.least

    def boxes(
        self,
        keypoints: np.ndarray,
        keypoint_scores: np.ndarray,
        bboxes: np.ndarray,
        image_sizes: np.ndarray,
    ) -> np.ndarray:
        """Fit boxes around poses.

        A box stays as it is where its pose is not sure, where less than a pixel of
        the fitted one lies on the image, and where more than half of the fitted one
        lies outside of it: then the pose is another object's.

        Args:
            keypoints: Coordinates (x, y) in pixels, (N, K, 2).
            keypoint_scores: Their scores, (N, K).
            bboxes: The boxes that they were found in, (x1, y1, x2, y2), (N, 4).
            image_sizes: Width and height of each image, pixels, (N, 2).

        Returns:
            Boxes, cut off at the border of the image and rounded to 1/64 pixel where
            they are new, (N, 4), float32.
        """
        low, high = _extents(keypoints, self._counted(keypoints, keypoint_scores))
        fitted = _enlarged(low, high, np.array(self.margins))
        fitted = np.clip(fitted, 0, np.tile(image_sizes, 2))
        fitted = rounded(fitted, STEPS_PER_PIXEL)
        sides = fitted[:, 2:] - fitted[:, :2]
        good = self.is_sure(keypoints, keypoint_scores) & (sides >= 1).all(axis=1)
        good &= _overlaps(fitted, bboxes) >= 0.5 * sides.clip(min=0).prod(axis=1)
        return np.where(good[:, None], fitted, bboxes).astype(np.float32)

    def _counted(
        self, keypoints: np.ndarray, keypoint_scores: np.ndarray
    ) -> np.ndarray:
        finite = np.isfinite(keypoints).all(axis=-1)
        return finite & (keypoint_scores > self.score_thr)


def fit_like(fill: PoseFill, score_thr: float = BoxFit.score_thr) -> BoxFit:
    """The fit that gives poses boxes as the measured ones have.

    Args:
        fill: How poses lie in their boxes.
        score_thr: Score above which a keypoint of a found pose counts.
    """
    left, top, right, bottom = (round(margin, 3) for margin in fill.margins)
    return BoxFit(
        (left, top, right, bottom),
        least_keypoints(fill.keypoints, FITTED_SHARE),
        score_thr,
    )


def _extents(
    keypoints: np.ndarray, counted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Upper left and lower right corners of the keypoints that count, (N, 2) each.

    Without any of them both are 0.
    """
    some = counted.any(axis=1)[:, None]
    mask = counted[..., None]
    low = np.where(mask, keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(mask, keypoints, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(some, low, 0.0), np.where(some, high, 0.0)


def _enlarged(low: np.ndarray, high: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Extents with margins around them, as boxes, (N, 4)."""
    reach = np.linalg.norm(high - low, axis=1)[:, None] * margins
    return np.concatenate([low - reach[:, :2], high + reach[:, 2:]], axis=1)


def _ious(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Intersection over union of two boxes, (N,)."""
    common = _overlaps(left, right)
    areas = [
        (box[:, 2:] - box[:, :2]).clip(min=0).prod(axis=1) for box in (left, right)
    ]
    return common / (areas[0] + areas[1] - common)


def _overlaps(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Area that two boxes share, (N,)."""
    low = np.maximum(left[:, :2], right[:, :2])
    high = np.minimum(left[:, 2:], right[:, 2:])
    return (high - low).clip(min=0).prod(axis=1)
