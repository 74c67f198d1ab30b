"""Values that rank instances: their score, the agreement of views, or both."""

from __future__ import annotations

import numpy as np

from mmdistill.functional.count_matching import split_groups
from mmdistill.functional.scoring import masked_mean

CRITERIA = ('score', 'agreement', 'both')
"""Criteria that instances are ranked by."""
STEP = np.float32(2**-16)
"""Resolution of compared values: smaller differences are noise, and tie."""
MOST_LEVELS = 2**20
"""Maximum number of levels counted without sorting, so that the table is cached."""


def instance_agreement(
    keypoint_agreement: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Average the agreement of views over the keypoints that count.

    Args:
        keypoint_agreement: Agreement of the views on each keypoint, (N, K).
        counts: Mask of the keypoints that count, (N, K), bool.

    Returns:
        Means, (N,), float32; 0 for an instance none of whose keypoints count.

    >>> counts = np.array([[True, True, False], [False, False, False]])
    >>> instance_agreement(np.array([[0.5, 1.0, 0.0]] * 2), counts).tolist()
    [0.75, 0.0]
    """
    return masked_mean(keypoint_agreement, counts).astype(np.float32)


def ranks(values: np.ndarray) -> np.ndarray:
    """Compute average ranks as shares: a best value without ties has rank 1.

    Equal values get the mean of the ranks that they take together; values are equal
    when they round to the same multiple of `STEP`. Linear in their number.

    Args:
        values: Values, (M,).

    Returns:
        Ranks over M, above 0 and at most 1, (M,), float64.

    >>> ranks(np.array([0.9, 0.5, 0.5, 0.1])).tolist()
    [1.0, 0.625, 0.625, 0.25]
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
    """Compute the `ranks` of values among other values.

    A value equal to one of the others has its rank; one between two of them lies half
    a rank above the lower.

    Args:
        values: Values, (N,).
        others: Values that they are ranked among, (M,).

    Returns:
        Ranks over M, above 0 and at most 1, (N,), float64; 1 without others.

    >>> ranks_among(np.array([0.5, 0.7]), np.array([0.1, 0.5, 0.9, 0.3])).tolist()
    [0.75, 0.875]
    """
    if len(others) == 0:
        return np.ones(len(values))
    ordered = np.sort(np.rint(others / STEP))
    levels = np.rint(values / STEP)
    below = np.searchsorted(ordered, levels, side='left')
    up_to = np.searchsorted(ordered, levels, side='right')
    return np.minimum((below + up_to + 1) / (2 * len(others)), 1)


def rank_correlation(values: np.ndarray, others: np.ndarray) -> float:
    """Compute Spearman's rank correlation of two values of each instance.

    Args:
        values: One value of each instance, (M,).
        others: The other, (M,).

    Returns:
        The correlation of their `ranks`, in [-1, 1]; NaN if one value is constant.

    >>> values, others = np.array([0.1, 0.2, 0.9]), np.array([0.6, 0.2, 0.4])
    >>> round(rank_correlation(values, others), 4)
    -0.5
    """
    pair = ranks(values), ranks(others)
    if len(values) < 2 or any((side == side[0]).all() for side in pair):
        return float('nan')
    return float(np.corrcoef(*pair)[0, 1])


def rank_product(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Multiply the ranks by two values: high where both are high.

    Args:
        values: One value of each instance, (M,).
        others: The other, (M,).

    Returns:
        Products of `ranks`, above 0 and at most 1, (M,), float64.

    >>> rank_product(np.array([0.9, 0.1]), np.array([0.2, 0.3])).tolist()
    [0.5, 0.5]
    """
    return ranks(values) * ranks(others)


def compared_values(
    by: str,
    scores: np.ndarray,
    agreement: np.ndarray,
    groups: np.ndarray,
    num_groups: int,
) -> np.ndarray:
    """Compute the values that are compared with thresholds.

    Args:
        by: 'score', 'agreement', or 'both', the rank product within a group.
        scores: Instance scores, (M,).
        agreement: Agreement of the views on each instance, (M,).
        groups: Group of each instance, 0 to G - 1, (M,).
        num_groups: G.

    Returns:
        Values, higher is better, (M,).

    >>> scores, agreement = np.array([0.75, 0.25]), np.array([0.5, 1.0])
    >>> groups = np.zeros(2, dtype=int)
    >>> compared_values('agreement', scores, agreement, groups, 1).tolist()
    [0.5, 1.0]
    >>> compared_values('both', scores, agreement, groups, 1).tolist()
    [0.5, 0.5]
    """
    if by == 'score':
        return scores
    if by == 'agreement':
        return agreement
    values = np.empty(len(scores))
    for rows in split_groups(groups, num_groups):
        values[rows] = rank_product(scores[rows], agreement[rows])
    return values
