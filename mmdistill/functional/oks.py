"""Which candidate found which true instance, as COCO's keypoint evaluation has it.

Shapes: `N` candidates and `G` true instances of one image, `K` keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TrueInstances:
    """The annotated instances of one image, coordinates in its pixels.

    Attributes:
        keypoints: Coordinates (x, y), (G, K, 2).
        labeled: Which keypoints are annotated, (G, K), bool.
        areas: Areas, squared pixels, (G,).
        bboxes: Boxes (x1, y1, x2, y2), (G, 4).
        ignored: Instances that count neither as found nor as missed, (G,), bool.
        crowd: Those of them that any number of candidates may find, (G,), bool.
        category_ids: Categories, (G,).
    """

    keypoints: np.ndarray
    labeled: np.ndarray
    areas: np.ndarray
    bboxes: np.ndarray
    ignored: np.ndarray
    crowd: np.ndarray
    category_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.areas)


def similarity(
    keypoints: np.ndarray, truth: TrueInstances, sigmas: np.ndarray
) -> np.ndarray:
    """Object keypoint similarity (OKS) of every candidate to every true instance.

    An instance without annotated keypoints is as similar as its box, doubled to
    every side, is near, as in COCO's evaluation.

    Args:
        keypoints: Coordinates of the candidates, pixels, (N, K, 2).
        truth: The true instances.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).

    Returns:
        OKS in [0, 1], (N, G).
    """
    points = keypoints[:, None].astype(np.float64)
    low, high = truth.bboxes[:, None, :2], truth.bboxes[:, None, 2:]
    size = high - low
    beyond = np.maximum(low - size - points, 0) + np.maximum(points - high - size, 0)
    known = truth.labeled.any(axis=1)
    offsets = np.where(known[:, None, None], points - truth.keypoints, beyond)
    areas = (truth.areas + np.spacing(1))[:, None]
    errors = (offsets**2).sum(axis=-1) / (2 * sigmas) ** 2 / areas / 2
    counts = truth.labeled | ~known[:, None]
    total = np.where(counts, np.exp(-errors), 0).sum(axis=-1)
    return total / counts.sum(axis=-1)


def match(similar: np.ndarray, truth: TrueInstances, oks_thr: float) -> np.ndarray:
    """The true instance that each candidate found.

    One candidate after the other takes the most similar instance that is left,
    one that counts before one that is ignored; a crowd is never used up.

    Args:
        similar: OKS of the candidates, best score first, (N, G).
        truth: The true instances.
        oks_thr: OKS that a match needs.

    Returns:
        Numbers of the instances, -1 where none is similar enough, (N,).
    """
    found = np.full(len(similar), -1)
    free = np.ones(len(truth), dtype=bool)
    for row, scores in enumerate(similar):
        fits = (scores >= oks_thr) & (free | truth.crowd)
        if (fits & ~truth.ignored).any():
            fits &= ~truth.ignored
        if not fits.any():
            continue
        # Of equally similar instances COCO's evaluation takes the last.
        reverse = np.where(fits, scores, -np.inf)[::-1]
        found[row] = len(truth) - 1 - int(np.argmax(reverse))
        free[found[row]] = False
    return found


def keypoint_errors(
    keypoints: np.ndarray, truth: TrueInstances, found: np.ndarray
) -> np.ndarray:
    """How far each keypoint lies off the instance that its candidate found.

    Args:
        keypoints: Coordinates of the candidates, pixels, (N, K, 2).
        truth: The true instances.
        found: Numbers of the instances, -1 for none, (N,).

    Returns:
        Distances in units of the instance's size, the square root of its area,
        (N, K); NaN where there is no instance or its keypoint is not annotated.
    """
    errors = np.full(keypoints.shape[:2], np.nan)
    rows = np.flatnonzero(found >= 0)
    true = found[rows]
    distances = np.linalg.norm(keypoints[rows] - truth.keypoints[true], axis=-1)
    sizes = np.sqrt(np.maximum(truth.areas[true], np.spacing(1)))[:, None]
    errors[rows] = np.where(truth.labeled[true], distances / sizes, np.nan)
    return errors
