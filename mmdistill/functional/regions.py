"""Masks of regions of an image that boxes cover, also turned ones.

Shapes: `N` regions, each a convex quadrilateral of four corners in any order.
"""

from __future__ import annotations

import numpy as np


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """Bring boxes into the form of corners, which turned boxes have already.

    Args:
        boxes: Boxes (x1, y1, x2, y2), (N, 4), or their corners, (N, 4, 2) or (N, 8).

    Returns:
        Corners (x, y), (N, 4, 2).

    >>> box_corners(np.array([[1.0, 2.0, 3.0, 4.0]])).tolist()
    [[[1.0, 2.0], [1.0, 4.0], [3.0, 2.0], [3.0, 4.0]]]
    """
    given = np.asarray(boxes)
    if given.shape[1:] == (4,):
        given = given[:, [0, 1, 0, 3, 2, 1, 2, 3]]
    return given.reshape(-1, 4, 2)


def region_mask(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mark the pixels of an image whose center lies within a region or on its edge.

    The center of the pixel in column i and row j is the point (i, j). Regions may lie
    beyond the image; those without extent or that are not finite cover nothing.

    Args:
        corners: Corners (x, y) of convex quadrilaterals, pixels, (N, 4, 2).
        size: Width and height of the image.

    Returns:
        Mask, (height, width), bool.

    >>> square = box_corners(np.array([[0.5, 0.0, 2.0, 1.0]]))
    >>> region_mask(square, (4, 3)).astype(int).tolist()
    [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    width, height = size
    mask = np.zeros((height, width), dtype=bool)
    for points in np.asarray(corners, dtype=np.float64):
        if not np.isfinite(points).all():
            continue
        points = _around(points)
        edges = np.roll(points, -1, axis=0) - points
        if not np.ptp(points, axis=0).all():
            continue
        first = np.clip(np.ceil(points.min(axis=0)), 0, size).astype(int)
        last = np.clip(np.floor(points.max(axis=0)) + 1, 0, size).astype(int)
        x = np.arange(first[0], last[0])[None]
        y = np.arange(first[1], last[1])[:, None]
        inside = np.ones((y.size, x.size), dtype=bool)
        for (px, py), (ex, ey) in zip(points, edges, strict=True):
            inside &= ex * (y - py) - ey * (x - px) >= 0
        mask[first[1] : last[1], first[0] : last[0]] |= inside
    return mask


def _around(points: np.ndarray) -> np.ndarray:
    """The corners of a convex region in the order of their angle around its middle."""
    x, y = (points - points.mean(axis=0)).T
    around: np.ndarray = points[np.argsort(np.arctan2(y, x), kind='stable')]
    return around
