"""Numbers of the comparison: the share of the gap that an arm closes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Scores = Mapping[int, float]
"""Values of a metric by seed."""


def best_schedule(scores: Mapping[int, float], lower_is_better: bool = False) -> int:
    """Return the length with the best score, the shortest of equal ones.

    Args:
        scores: Validation score by iterations, at least one.
        lower_is_better: Whether the metric is an error.
    """
    sign = -1 if lower_is_better else 1
    return max(sorted(scores), key=lambda length: sign * scores[length])


def gap_closed(
    arm: Scores,
    supervised: Sequence[Scores],
    upper_bounds: Sequence[Scores],
    lower_is_better: bool = False,
) -> float | None:
    """Compute the share of the gap between supervised training and the upper bound.

    Means over the seeds that all of them have; of several supervised trainings, and of
    several upper bounds, the one with the better mean counts.

    Args:
        arm: Scores of the arm.
        supervised: Scores of the supervised trainings.
        upper_bounds: Scores with true labels.
        lower_is_better: Whether the metric is an error.

    Returns:
        0 for the best supervised training, 1 for the best upper bound; None if there
        is no seed in common, or no gap.
    """
    if not (supervised and upper_bounds):
        return None
    seeds = set(arm).intersection(*supervised, *upper_bounds)
    if not seeds:
        return None
    sign = -1 if lower_is_better else 1
    low = max(sign * _mean(each, seeds) for each in supervised)
    gap = max(sign * _mean(each, seeds) for each in upper_bounds) - low
    return (sign * _mean(arm, seeds) - low) / gap if gap > 0 else None


def differences(arm: Scores, other: Scores) -> list[float]:
    """Compute an arm minus another, seed by seed.

    Args:
        arm: Scores of the arm.
        other: Scores of the other one.
    """
    return [arm[seed] - other[seed] for seed in sorted(set(arm) & set(other))]


def _mean(scores: Scores, seeds: set[int]) -> float:
    return statistics.fmean(scores[seed] for seed in seeds)
