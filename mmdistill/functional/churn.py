"""Label churn: how many pseudo-labeled keypoints move from one round to the next.

It needs no ground truth. A student that is taught the labels it would give itself has
nothing new to learn; the agreement of the views cannot tell this, since self-training
raises it whether the labels are right or wrong.

Shapes: `N` instances of this round and `M` of the round before, of several images, `K`
keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdistill.functional.scoring import AREA_OF_BOX

SAME_OKS = 0.5
"""Minimum OKS of two instances that are the same."""
MOVED_SHARE = 0.1
"""Distance from which on a keypoint moved, as a share of the box's longer side."""


@dataclass(frozen=True)
class PosedInstances:
    """Instances of several images.

    Attributes:
        keypoints: Coordinates (x, y), pixels of the image, (N, K, 2).
        bboxes: Boxes (x1, y1, x2, y2), (N, 4).
        images: Number of each instance's image, ascending, (N,).

    >>> keypoints = np.array([[[1.0, 1.0], [3.0, 5.0]]])
    >>> len(PosedInstances(keypoints, np.array([[0.0, 0, 4, 6]]), np.array([0])))
    1
    """

    keypoints: np.ndarray
    bboxes: np.ndarray
    images: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def same_instances(
    now: PosedInstances,
    before: PosedInstances,
    sigmas: np.ndarray,
    oks_thr: float = SAME_OKS,
) -> np.ndarray:
    """Match instances of two rounds that are each other's most similar one.

    Args:
        now: Instances of this round.
        before: Those of the round before.
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).
        oks_thr: Minimum OKS of a match.

    Returns:
        Indices of the instances before, -1 where none is the same, (N,).

    >>> box, image = np.array([[0.0, 0, 10, 10]]), np.array([0])
    >>> now = PosedInstances(np.array([[[2.0, 2.0]]]), box, image)
    >>> before = PosedInstances(
    ...     np.array([[[9.0, 9.0]], [[2.0, 3.0]]]), box[[0, 0]], image[[0, 0]]
    ... )
    >>> same_instances(now, before, np.array([0.1])).tolist()
    [1]
    """
    rows, columns = _pairs(now.images, before.images)
    oks = _pair_oks(now, before, rows, columns, sigmas)
    best_row = _best(columns, rows, oks, len(before))
    best_column = _best(rows, columns, oks, len(now))
    mutual = (best_column[rows] == columns) & (best_row[columns] == rows)
    chosen = mutual & (oks >= oks_thr)
    matches = np.full(len(now), -1)
    matches[rows[chosen]] = columns[chosen]
    return matches


def moved_keypoints(
    now: PosedInstances,
    before: PosedInstances,
    matches: np.ndarray,
    share: float = MOVED_SHARE,
) -> np.ndarray:
    """Mask of the keypoints that moved since the round before.

    Args:
        now: Instances of this round.
        before: Those of the round before.
        matches: Indices of the same instances, -1 for none, (N,).
        share: Distance above which a keypoint moved, as a share of the longer side of
            the box of this round.

    Returns:
        Mask, (N, K), bool; true for all keypoints of an instance that is new.

    >>> box, image = np.array([[0.0, 0, 10, 8]]), np.array([0])
    >>> now = PosedInstances(np.array([[[2.0, 2.0], [5.0, 5.0]]]), box, image)
    >>> before = PosedInstances(np.array([[[2.0, 2.9], [5.0, 6.1]]]), box, image)
    >>> moved_keypoints(now, before, np.array([0])).tolist()
    [[False, True]]
    >>> moved_keypoints(now, before, np.array([-1])).tolist()
    [[True, True]]
    """
    moved = np.ones(now.keypoints.shape[:2], dtype=bool)
    known = np.flatnonzero(matches >= 0)
    points = now.keypoints[known].astype(np.float64)
    distances = np.linalg.norm(points - before.keypoints[matches[known]], axis=-1)
    sides = (now.bboxes[known, 2:] - now.bboxes[known, :2]).max(axis=1)
    moved[known] = distances > share * sides[:, None]
    return moved


def _pairs(images: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair each instance with all others of its image; indices of both, (P,) each."""
    starts = np.searchsorted(others, images, side='left')
    counts = np.searchsorted(others, images, side='right') - starts
    rows = np.repeat(np.arange(len(images)), counts)
    first_pairs = np.cumsum(counts) - counts
    within = np.arange(len(rows)) - np.repeat(first_pairs, counts)
    return rows, np.repeat(starts, counts) + within


def _pair_oks(
    now: PosedInstances,
    before: PosedInstances,
    rows: np.ndarray,
    columns: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Compute the OKS of each pair over all keypoints, (P,)."""
    sides = (before.bboxes[:, 2:] - before.bboxes[:, :2]).astype(np.float64)
    areas = AREA_OF_BOX * sides.prod(axis=1)[columns] + np.spacing(1)
    offsets = now.keypoints[rows].astype(np.float64) - before.keypoints[columns]
    errors = (offsets**2).sum(axis=-1) / (2 * sigmas) ** 2 / areas[:, None] / 2
    oks: np.ndarray = np.exp(-errors).mean(axis=1)
    return oks


def _best(
    groups: np.ndarray, members: np.ndarray, values: np.ndarray, num_groups: int
) -> np.ndarray:
    """Find the member of the greatest value in each group, the first of equal ones.

    Returns:
        The members, -1 for a group without any, (num_groups,).
    """
    order = np.lexsort((members, -values, groups))
    present, first = np.unique(groups[order], return_index=True)
    best = np.full(num_groups, -1)
    best[present] = members[order][first]
    return best
