"""How far poses are turned against each other, and which bones they have.

Names of keypoints are not asked, so any animal will do. Poses are aligned as in a
generalized Procrustes analysis (Gower, Psychometrika 1975), in the plane and without
mirroring: points are complex numbers, and the turn between two poses is the angle of
their inner product.

Shapes: `N` instances, `K` keypoints.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 10
"""Rounds of aligning all poses to their mean; more change nothing visible."""
FEWEST = 2
"""Keypoints that an instance needs to have a direction."""


def pose_rotations(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Compute the turn of each instance against the mean pose of all.

    Args:
        points: Coordinates (x, y), pixels, y pointing down, (N, K, 2).
        visible: Mask of the keypoints that are known, (N, K), bool.

    Returns:
        Degrees in (-180, 180], clockwise, (N,); their circular mean is 0. NaN where
        fewer than two keypoints are known.

    >>> pose = np.array([[0.0, -2.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    >>> turned = pose[:, ::-1] * [-1, 1]  # by 90 degrees
    >>> poses, known = np.stack([pose, pose, turned]), np.ones((3, 4), bool)
    >>> turns = pose_rotations(poses, known)
    >>> (turns[2] - turns[:2]).round(6).tolist()
    [90.0, 90.0]
    """
    shapes = points[..., 0] + 1j * points[..., 1]
    counts = visible.sum(axis=1)
    usable = counts >= FEWEST
    turns = np.full(len(points), np.nan)
    if not usable.any():
        return turns
    known = visible[usable]
    normal = _normalized(shapes[usable], known)
    # The mean of poses in all directions is a point: begin with one of them.
    mean = normal[np.argmax(counts[usable])]
    known_in_mean = known[np.argmax(counts[usable])]
    for _ in range(ROUNDS):
        common = known & known_in_mean
        phases = _phases((normal * mean.conj() * common).sum(axis=1))
        aligned = normal * phases.conj()[:, None] * known
        total = known.sum(axis=0)
        mean = aligned.sum(axis=0) / np.maximum(total, 1)
        known_in_mean = total > 0
    phases = phases * _phases(phases.sum()).conj()
    turns[usable] = np.degrees(np.angle(phases))
    return turns


def direction_concentration(turns: np.ndarray) -> float:
    """Compute how far directions agree: the length of their mean as unit vectors.

    Args:
        turns: Degrees, (N,); those that are NaN are left out.

    Returns:
        1 where all are equal, near 0 where they are spread evenly; 1 without any.

    >>> direction_concentration(np.array([10.0, 10.0])).__round__(6)
    1.0
    >>> abs(direction_concentration(np.array([0.0, 90.0, 180.0, -90.0]))) < 1e-9
    True
    """
    known = turns[~np.isnan(turns)]
    if len(known) == 0:
        return 1.0
    return float(abs(np.exp(1j * np.radians(known)).mean()))


def spanning_bones(points: np.ndarray, visible: np.ndarray) -> list[tuple[int, int]]:
    """Join the keypoints by the shortest bones that connect them all.

    A minimum spanning tree over the median distances, in units of each instance's
    extent: a skeleton for data that states none.

    Args:
        points: Coordinates (x, y), pixels, (N, K, 2).
        visible: Mask of the keypoints that are known, (N, K), bool.

    Returns:
        Numbers of the two keypoints of each bone, ascending; keypoints that are never
        seen together with another have none.

    >>> line = np.array([[[0.0, 0.0], [9.0, 0.0], [4.0, 0.0]]])
    >>> spanning_bones(line, np.ones((1, 3), bool))
    [(0, 2), (1, 2)]
    """
    distances = median_distances(points, visible)
    number = len(distances)
    group, bones = list(range(number)), []
    edges = [(distances[i, j], i, j) for j in range(number) for i in range(j)]
    for _, i, j in sorted(edge for edge in edges if np.isfinite(edge[0])):
        if group[i] != group[j]:
            bones.append((i, j))
            joined = group[j]
            group = [group[i] if each == joined else each for each in group]
    return sorted(bones)


def median_distances(points: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Compute the median distance of each two keypoints.

    Args:
        points: Coordinates (x, y), pixels, (N, K, 2).
        visible: Mask of the keypoints that are known, (N, K), bool.

    Returns:
        Distances in units of the longer side of an instance's extent, (K, K); infinite
        where two keypoints are never known together.

    >>> line = np.array([[[0.0, 0.0], [8.0, 0.0], [4.0, 0.0]]])
    >>> median_distances(line, np.ones((1, 3), bool))[0].tolist()
    [0.0, 1.0, 0.5]
    """
    known = visible[..., None]
    low = np.where(known, points, np.inf).min(axis=1)
    high = np.where(known, points, -np.inf).max(axis=1)
    extents = (high - low).max(axis=1)
    number = points.shape[1]
    medians = np.full((number, number), np.inf)
    for i in range(number):
        for j in range(number):
            both = visible[:, i] & visible[:, j] & (extents > 0)
            if both.any():
                gaps = np.linalg.norm(points[both, i] - points[both, j], axis=1)
                medians[i, j] = np.median(gaps / extents[both])
    return medians


def _normalized(shapes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Shapes with their known points around 0, of the same size, others 0."""
    center = (shapes * known).sum(axis=1) / known.sum(axis=1)
    centered = (shapes - center[:, None]) * known
    size = np.sqrt((abs(centered) ** 2).sum(axis=1))
    return centered / np.where(size > 0, size, 1)[:, None]


def _phases(numbers: np.ndarray) -> np.ndarray:
    """Complex numbers at length 1; 1 for 0, which has no direction."""
    length = abs(numbers)
    return np.where(length > 0, numbers / np.where(length > 0, length, 1), 1)
