"""Object keypoint similarity (OKS), matching to true instances, and suppression.

Similarity and matching follow COCO's keypoint evaluation, boxes are matched as in its
evaluation of boxes, and suppression is MMPose's.

Shapes: `N` candidates and `G` true instances of one image, `K` keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdistill.functional.box_voting import overlaps


@dataclass(frozen=True)
class TrueInstances:
    """Annotated instances of one image, coordinates in its pixels.

    Attributes:
        keypoints: Coordinates (x, y), (G, K, 2).
        labeled: Mask of the annotated keypoints, (G, K), bool.
        areas: Areas, squared pixels, (G,).
        bboxes: Boxes (x1, y1, x2, y2), (G, 4).
        ignored: Mask of instances that count neither as matched nor as missed, (G,).
        crowd: Mask of those that any number of candidates may match, (G,), bool.
        category_ids: Categories, (G,).

    >>> truth = TrueInstances(
    ...     keypoints=np.array([[[10.0, 10.0], [20.0, 20.0]]]),
    ...     labeled=np.array([[True, False]]),
    ...     areas=np.array([400.0]),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0]]),
    ...     ignored=np.array([False]),
    ...     crowd=np.array([False]),
    ...     category_ids=np.array([1]),
    ... )
    >>> len(truth)
    1
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
    """Compute the OKS of every candidate to every true instance.

    For an instance without annotated keypoints the distance to its box, doubled to
    every side, counts, as in COCO's evaluation.

    Args:
        keypoints: Coordinates of the candidates, pixels, (N, K, 2).
        truth: The true instances.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).

    Returns:
        OKS in [0, 1], (N, G).

    >>> truth = TrueInstances(
    ...     keypoints=np.array([[[10.0, 10.0], [20.0, 20.0]]]),
    ...     labeled=np.array([[True, False]]),
    ...     areas=np.array([400.0]),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0]]),
    ...     ignored=np.array([False]),
    ...     crowd=np.array([False]),
    ...     category_ids=np.array([1]),
    ... )
    >>> candidates = np.array([[[10.0, 10.0], [0.0, 0.0]], [[12.0, 10.0], [0.0, 0.0]]])
    >>> oks = similarity(candidates, truth, np.array([0.05, 0.05]))
    >>> oks.round(4).tolist()
    [[1.0], [0.6065]]
    """
    points = keypoints[:, None].astype(np.float64)
    low, high = truth.bboxes[:, None, :2], truth.bboxes[:, None, 2:]
    size = high - low
    beyond = np.maximum(low - size - points, 0) + np.maximum(points - high - size, 0)
    annotated = truth.labeled.any(axis=1)
    offsets = np.where(annotated[:, None, None], points - truth.keypoints, beyond)
    areas = (truth.areas + np.spacing(1))[:, None]
    errors = (offsets**2).sum(axis=-1) / (2 * sigmas) ** 2 / areas / 2
    counts = truth.labeled | ~annotated[:, None]
    total = np.where(counts, np.exp(-errors), 0).sum(axis=-1)
    return total / counts.sum(axis=-1)


def instance_similarity(
    distances: np.ndarray, labeled: np.ndarray, areas: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Compute the OKS of poses that are paired with the true ones.

    Args:
        distances: Distance of each keypoint from the true one, pixels, (N, K).
        labeled: Mask of the annotated keypoints, (N, K), bool; one at least of each.
        areas: Areas of the true instances, squared pixels, (N,).
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).

    Returns:
        OKS in [0, 1], (N,).

    >>> distances, labeled = np.array([[2.0, 9.0]]), np.array([[True, False]])
    >>> areas, sigmas = np.array([400.0]), np.array([0.05, 0.05])
    >>> instance_similarity(distances, labeled, areas, sigmas).round(4).tolist()
    [0.6065]
    """
    areas = (areas + np.spacing(1))[:, None]
    errors = distances**2 / (2 * sigmas) ** 2 / areas / 2
    total = np.where(labeled, np.exp(-errors), 0).sum(axis=1)
    similar: np.ndarray = total / labeled.sum(axis=1)
    return similar


def box_similarity(bboxes: np.ndarray, truth: TrueInstances) -> np.ndarray:
    """Compute the overlap of every candidate's box with every true instance's.

    It is the intersection over union; over the area of the candidate for a crowd, as in
    COCO's evaluation.

    Args:
        bboxes: Boxes of the candidates (x1, y1, x2, y2), pixels, (N, 4).
        truth: The true instances.

    Returns:
        Overlaps in [0, 1], (N, G).

    >>> truth = TrueInstances(
    ...     keypoints=np.zeros((2, 0, 2)),
    ...     labeled=np.zeros((2, 0), dtype=bool),
    ...     areas=np.array([100.0, 400.0]),
    ...     bboxes=np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 20.0, 20.0]]),
    ...     ignored=np.array([False, True]),
    ...     crowd=np.array([False, True]),
    ...     category_ids=np.array([1, 1]),
    ... )
    >>> box_similarity(np.array([[0.0, 0.0, 10.0, 5.0]]), truth).tolist()
    [[0.5, 1.0]]
    """
    similar = overlaps(bboxes, truth.bboxes)
    areas = (bboxes[:, 2:] - bboxes[:, :2]).prod(axis=1).astype(np.float64)[:, None]
    # With a union of both areas less their intersection.
    both = areas + (truth.bboxes[:, 2:] - truth.bboxes[:, :2]).prod(axis=1)
    shared = similar * both / (1 + similar)
    within = np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)
    return np.where(truth.crowd, within, similar)


def match(similar: np.ndarray, truth: TrueInstances, oks_thr: float) -> np.ndarray:
    """Match candidates to true instances, one after the other.

    Each candidate takes the most similar instance that is left,
    one that counts before one that is ignored; a crowd is never used up.

    Args:
        similar: OKS of the candidates, best score first, (N, G).
        truth: The true instances.
        oks_thr: Minimum OKS of a match.

    Returns:
        Indices of the instances, -1 where none is similar enough, (N,).

    >>> truth = TrueInstances(
    ...     keypoints=np.array([[[10.0, 10.0], [20.0, 20.0]]]),
    ...     labeled=np.array([[True, False]]),
    ...     areas=np.array([400.0]),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0]]),
    ...     ignored=np.array([False]),
    ...     crowd=np.array([False]),
    ...     category_ids=np.array([1]),
    ... )
    >>> match(np.array([[0.75], [0.9]]), truth, oks_thr=0.5).tolist()
    [0, -1]
    """
    matches = np.full(len(similar), -1)
    free = np.ones(len(truth), dtype=bool)
    for row, scores in enumerate(similar):
        fits = (scores >= oks_thr) & (free | truth.crowd)
        if (fits & ~truth.ignored).any():
            fits &= ~truth.ignored
        if not fits.any():
            continue
        # Of equally similar instances COCO's evaluation takes the last.
        reverse = np.where(fits, scores, -np.inf)[::-1]
        matches[row] = len(truth) - 1 - int(np.argmax(reverse))
        free[matches[row]] = False
    return matches


def distinct_poses(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
    oks_thr: float,
) -> np.ndarray:
    """Select the best of candidates that are alike, as MMPose's `oks_nms` does.

    Each candidate, best first, suppresses those after it whose OKS to it is higher
    than the threshold. The area in the OKS of two is the mean of theirs.

    Args:
        keypoints: Coordinates of the candidates, pixels, (N, K, 2).
        scores: Scores of the candidates, (N,).
        areas: Areas of the candidates, squared pixels, (N,).
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).
        oks_thr: OKS above which only the better of two candidates is kept.

    Returns:
        Indices of the kept candidates, best first, int64.

    >>> keypoints = np.array([[[10.0, 10.0]], [[10.5, 10.0]], [[40.0, 10.0]]])
    >>> scores, areas = np.array([0.5, 0.75, 0.25]), np.full(3, 400.0)
    >>> distinct_poses(keypoints, scores, areas, np.array([0.05]), 0.9).tolist()
    [1, 2]
    """
    variances = (2 * sigmas) ** 2
    left = scores.argsort()[::-1]
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        if not len(left):
            break
        # Differences and areas in the precision of the candidates, as in MMPose; those
        # of an untrained model may be too far apart for it, and then are not alike.
        with np.errstate(over='ignore', invalid='ignore'):
            x, y = np.moveaxis(keypoints[left] - keypoints[best], -1, 0)
            squares = x**2 + y**2
            sizes = ((areas[left] + areas[best]) / 2).astype(np.float64) + np.spacing(1)
            near = np.exp(-(squares / variances / sizes[:, None] / 2))
            similar = (near.sum(axis=1) / near.shape[1]).astype(np.float32)
        left = left[~(similar > oks_thr)]
    return np.array(kept, dtype=np.int64)


def keypoint_errors(
    keypoints: np.ndarray, truth: TrueInstances, matches: np.ndarray
) -> np.ndarray:
    """Compute the distance of each keypoint from that of the matched instance.

    Args:
        keypoints: Coordinates of the candidates, pixels, (N, K, 2).
        truth: The true instances.
        matches: Indices of the matched instances, -1 for none, (N,).

    Returns:
        Distances in units of the instance's size, the square root of its area,
        (N, K); NaN where there is no instance or its keypoint is not annotated.

    >>> truth = TrueInstances(
    ...     keypoints=np.array([[[10.0, 10.0], [20.0, 20.0]]]),
    ...     labeled=np.array([[True, False]]),
    ...     areas=np.array([400.0]),
    ...     bboxes=np.array([[0.0, 0.0, 30.0, 30.0]]),
    ...     ignored=np.array([False]),
    ...     crowd=np.array([False]),
    ...     category_ids=np.array([1]),
    ... )
    >>> candidates = np.array([[[12.0, 10.0], [0.0, 0.0]]])
    >>> keypoint_errors(candidates, truth, np.array([0])).tolist()
    [[0.1, nan]]
    """
    errors = np.full(keypoints.shape[:2], np.nan)
    rows = np.flatnonzero(matches >= 0)
    true = matches[rows]
    distances = np.linalg.norm(keypoints[rows] - truth.keypoints[true], axis=-1)
    sizes = np.sqrt(np.maximum(truth.areas[true], np.spacing(1)))[:, None]
    errors[rows] = np.where(truth.labeled[true], distances / sizes, np.nan)
    return errors
