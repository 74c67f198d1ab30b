"""What instances are compared by: their score, the views' agreement, or both."""

from __future__ import annotations

import numpy as np

from mmdistill.functional.count_matching import split_groups

CRITERIA = ('score', 'agreement', 'both')
STEP = np.float32(2**-16)
"""Values whose difference is less are noise, and tie."""
MOST_LEVELS = 2**20
"""Levels that are counted without sorting: their table stays in the cache."""


def instance_agreement(
    keypoint_agreement: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """How far the views agree on an instance: the mean of its keypoints that count.

    Args:
        keypoint_agreement: How far the views agree on each keypoint, (N, K).
        counts: Which keypoints count, (N, K), bool.

    Returns:
        Means, (N,), float32; 0 for an instance none of whose keypoints count.
    """
    total = np.where(counts, keypoint_agreement, 0).sum(axis=1, dtype=np.float64)
    return (total / np.maximum(counts.sum(axis=1), 1)).astype(np.float32)


def ranks(values: np.ndarray) -> np.ndarray:
    """Average ranks as shares: the best value has 1 when it is alone.

    Equal values get the mean of the ranks that they take together; values are equal
    when they round to the same multiple of `STEP`. Linear in their number.

    Args:
        values: Values, (M,).

    Returns:
        Ranks over M, above 0 and at most 1, (M,), float64.
    """
    if len(values) == 0:
        return np.zeros(0)
    levels = np.rint(values / STEP).astype(np.int64)
    levels -= levels.min()
    if levels.max() > MOST_LEVELS:
        levels = np.unique(levels, return_inverse=True)[1]
    counts = np.bincount(levels)
    # The first rank of a tie plus its last one.
    twice = 2 * np.cumsum(counts) - counts + 1
    return (twice / (2 * len(values)))[levels]


def ranks_among(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The `ranks` that values would have if they stood among others.

    A value that one of the others equals has its rank; one between two of them stands
    half a place above the lower.

    Args:
        values: Values, (N,).
        others: Those that they are ranked among, (M,).

    Returns:
        Ranks over M, above 0 and at most 1, (N,), float64; 1 where there are none.
    """
    if len(others) == 0:
        return np.ones(len(values))
    ordered = np.sort(np.rint(others / STEP))
    levels = np.rint(values / STEP)
    below = np.searchsorted(ordered, levels, side='left')
    up_to = np.searchsorted(ordered, levels, side='right')
    return np.minimum((below + up_to + 1) / (2 * len(others)), 1)


def rank_product(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Product of the ranks by two values: high where both are high.

    Args:
        values: One value of each instance, (M,).
        others: The other, (M,).

    Returns:
        Products of `ranks`, above 0 and at most 1, (M,), float64.
    """
    return ranks(values) * ranks(others)


def compared_values(
    by: str,
    scores: np.ndarray,
    agreement: np.ndarray,
    groups: np.ndarray,
    num_groups: int,
) -> np.ndarray:
    """The values that thresholds are compared with.

    Args:
        by: 'score', 'agreement', or 'both', the rank product within a group.
        scores: Instance scores, (M,).
        agreement: How far the views agree on each instance, (M,).
        groups: Group of each instance, 0 to G - 1, (M,).
        num_groups: G.

    Returns:
        Values, higher is better, (M,).
    """
    if by == 'score':
        return scores
    if by == 'agreement':
        return agreement
    values = np.empty(len(scores))
    for rows in split_groups(groups, num_groups):
        values[rows] = rank_product(scores[rows], agreement[rows])
    return values
