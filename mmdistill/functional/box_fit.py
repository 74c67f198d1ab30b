"""Fill of boxes by poses, and boxes fitted around poses.

A top-down teacher has learned the boxes of its labeled set: how large an object is in
them, and how far its keypoints lie from their sides. In other boxes its error grows.

Shapes: `N` instances, `K` keypoints. The extent of a pose is the smallest box around
those of its keypoints that count. Margins are lengths in diagonals of the extent,
which is never flat, however an object lies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmdistill.functional.quantization import STEPS_PER_PIXEL, rounded

MEASURED_SHARE = 0.75
"""Minimum share of the usual number of keypoints for an extent to be measured."""
FITTED_SHARE = 0.5
"""Minimum share of the usual number of keypoints for a box to be fitted."""
SHARE_OF_BEST = 0.2
"""Minimum score of a keypoint in the extent of a pose whose model predicts no boxes, as
a share of the best one's: such models multiply all scores by that of the instance.
"""
DEFAULT_MARGINS = (0.1, 0.1, 0.1, 0.1)
"""Margins of such boxes where those of the labeled set cannot be measured."""
MATERIAL_FACTOR = 1.2
"""Ratio of two fills above which boxes differ materially; a teacher is trained with
boxes that are magnified at random, by 1.25 and more in MMPose's recipes.
"""


@dataclass(frozen=True)
class PoseFill:
    """Position of poses in their boxes: medians over some instances.

    Attributes:
        width: Share of a box's width that the extent of a pose covers.
        height: Share of its height.
        margins: From the extent to the left, upper, right and lower side of the box,
            in diagonals of the extent; negative where keypoints lie outside.
        overlap: Intersection over union of a box and of the extent with these margins:
            low where boxes do not follow the poses in them, as whole images do not.
        keypoints: Keypoints that count on an instance.
        poses: Instances that were measured.

    >>> tight = PoseFill(0.8, 0.8, (0.1, 0.1, 0.1, 0.1), 0.9, 17, 100)
    >>> loose = PoseFill(0.5, 0.5, (0.5, 0.5, 0.5, 0.5), 0.9, 17, 100)
    >>> tight.differs_from(loose), tight.differs_from(tight)
    (True, False)
    """

    width: float
    height: float
    margins: tuple[float, float, float, float]
    overlap: float
    keypoints: float
    poses: int

    def differs_from(self, other: PoseFill) -> bool:
        """Whether a teacher trained on the other's boxes would be affected.

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
    """Measure the share of its box that a pose fills.

    Instances that show less than three quarters of the usual number of keypoints are
    left out, as are those without an extent: one keypoint does not determine a box.

    Args:
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (N, 4).
        keypoints: Coordinates (x, y) in pixels, (N, K, 2).
        counted: Mask of the keypoints that count, bool, (N, K).
        usual_keypoints: Number that count on a whole object; by default the median of
            those instances that have any.

    Returns:
        The medians; None where no instance can be measured.

    >>> boxes = np.array([[0.0, 0.0, 10.0, 20.0]])
    >>> ends = np.array([[[2.0, 4.0], [8.0, 12.0]]])
    >>> fill = measure_fill(boxes, ends, np.ones((1, 2), dtype=bool))
    >>> fill.width, fill.height, fill.margins
    (0.6, 0.4, (0.2, 0.4, 0.2, 0.8))
    """
    counted = counted & np.isfinite(keypoints).all(axis=-1)
    counts = counted.sum(axis=1)
    if usual_keypoints is None:
        usual_keypoints = float(np.median(counts[counts > 0])) if counts.any() else 0.0
    low, high = _extents(keypoints, counted)
    sides = bboxes[:, 2:] - bboxes[:, :2]
    keep_mask = counts >= least_keypoints(usual_keypoints, MEASURED_SHARE)
    keep_mask &= (sides > 0).all(axis=1) & (high > low).any(axis=1)
    if not keep_mask.any():
        return None
    low, high, sides, bboxes = (
        low[keep_mask],
        high[keep_mask],
        sides[keep_mask],
        bboxes[keep_mask],
    )
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
        poses=int(keep_mask.sum()),
    )


def least_keypoints(usual_keypoints: float, share: float) -> int:
    """Minimum number of keypoints that an instance must show, at least two.

    Args:
        usual_keypoints: Number of keypoints that a whole object shows.
        share: Share of them that is sufficient.

    >>> least_keypoints(17, 0.5), least_keypoints(1, 0.5)
    (9, 2)
    """
    return max(math.ceil(usual_keypoints * share), 2)


@dataclass(frozen=True)
class BoxFit:
    """Rule by which boxes are fitted around poses.

    Attributes:
        margins: Margins that a box adds to the extent of a pose at its left, upper,
            right and lower side, in diagonals of the extent.
        least: Number of keypoints that must score above `score_thr` for a pose to be
            reliable.
        score_thr: Score above which a keypoint counts.

    >>> fit = BoxFit(margins=(0.1, 0.1, 0.1, 0.1), least=2)
    >>> pose = np.array([[[20.0, 20.0], [50.0, 60.0]]])
    >>> box, size = np.array([[0.0, 0.0, 80.0, 80.0]]), np.array([[100, 100]])
    >>> fit.boxes(pose, np.array([[0.9, 0.9]]), box, size).tolist()
    [[15.0, 15.0, 55.0, 65.0]]
    >>> fit.boxes(pose, np.array([[0.9, 0.1]]), box, size).tolist()
    [[0.0, 0.0, 80.0, 80.0]]
    """

    margins: tuple[float, float, float, float]
    least: int
    score_thr: float = 0.2

    def as_json(self) -> dict[str, Any]:
        """Convert the attributes to JSON values."""
        return {**asdict(self), 'margins': list(self.margins)}

    @staticmethod
    def of_json(content: Mapping[str, Any]) -> BoxFit:
        """Build a fit from the values of `as_json`.

        Args:
            content: The JSON values.
        """
        left, top, right, bottom = content['margins']
        return BoxFit(
            (left, top, right, bottom), content['least'], content['score_thr']
        )

    def is_sure(self, keypoints: np.ndarray, keypoint_scores: np.ndarray) -> np.ndarray:
        """Mask of the poses that a box can be fitted around, bool, (N,).

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

        A box stays unchanged where its pose is not reliable, where less than a pixel
        of the fitted one lies on the image, and where more than half of the fitted
        one lies outside of it: then the pose is another object's.

        Args:
            keypoints: Coordinates (x, y) in pixels, (N, K, 2).
            keypoint_scores: Their scores, (N, K).
            bboxes: The boxes that they were predicted in, (x1, y1, x2, y2), (N, 4).
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
    """Derive the fit that gives poses boxes like the measured ones.

    Args:
        fill: Position of poses in the measured boxes.
        score_thr: Score above which a keypoint of a predicted pose counts.

    >>> fill = PoseFill(0.8, 0.8, (0.1, 0.1, 0.1, 0.1), 0.9, 17, 100)
    >>> fit_like(fill)
    BoxFit(margins=(0.1, 0.1, 0.1, 0.1), least=9, score_thr=0.2)
    """
    left, top, right, bottom = (round(margin, 3) for margin in fill.margins)
    return BoxFit(
        (left, top, right, bottom),
        least_keypoints(fill.keypoints, FITTED_SHARE),
        score_thr,
    )


def boxes_around(
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    margins: Sequence[float],
    image_size: tuple[int, int],
) -> np.ndarray:
    """Make boxes around poses whose model predicts none.

    A keypoint counts if it scores at least `SHARE_OF_BEST` of the best one of its
    instance, and all of them count where fewer than two do.

    Args:
        keypoints: Coordinates (x, y) in pixels, (N, K, 2).
        keypoint_scores: Their scores, (N, K).
        margins: Margins that a box adds to the extent of a pose at its left, upper,
            right and lower side, in diagonals of the extent.
        image_size: Width and height of the image, pixels.

    Returns:
        Boxes, cut off at the border of the image, (N, 4), float64.

    >>> pose = np.array([[[20.0, 20.0], [50.0, 60.0], [90.0, 90.0]]])
    >>> scores = np.array([[0.05, 0.04, 0.001]])
    >>> boxes_around(pose, scores, (0.1, 0.1, 0.1, 0.1), (52, 100)).tolist()
    [[15.0, 15.0, 52.0, 65.0]]
    """
    best = keypoint_scores.max(axis=1, initial=0, keepdims=True)
    counted = keypoint_scores >= SHARE_OF_BEST * best
    counted |= (counted.sum(axis=1) < 2)[:, None]
    boxes = _enlarged(*_extents(keypoints, counted), np.array(margins))
    clipped: np.ndarray = np.clip(boxes, 0, np.tile(image_size, 2))
    return clipped


def _extents(
    keypoints: np.ndarray, counted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Upper left and lower right corners of the keypoints that count, (N, 2) each.

    Without any of them both are 0.
    """
    has_extent = counted.any(axis=1)[:, None]
    mask = counted[..., None]
    low = np.where(mask, keypoints, np.inf).min(axis=1, initial=np.inf)
    high = np.where(mask, keypoints, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(has_extent, low, 0.0), np.where(has_extent, high, 0.0)


def _enlarged(low: np.ndarray, high: np.ndarray, margins: np.ndarray) -> np.ndarray:
    """Extents enlarged by their margins, as boxes, (N, 4)."""
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
    """Intersection area of two boxes, (N,)."""
    low = np.maximum(left[:, :2], right[:, :2])
    high = np.minimum(left[:, 2:], right[:, 2:])
    return (high - low).clip(min=0).prod(axis=1)
