"""Numbers of the comparison: the share of the gap that an arm closes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Scores = Mapping[int, float]
"""Values of a metric by seed."""


def best_schedule(scores: Mapping[int, float]) -> int:
    """Return the length with the highest score, the shortest of equal ones.

    Args:
        scores: Validation score by iterations, at least one.
    """
    return max(sorted(scores), key=lambda length: scores[length])


def gap_closed(
    arm: Scores, supervised: Sequence[Scores], upper_bound: Scores
) -> float | None:
    """Compute the share of the gap between supervised training and the upper bound.

    Means over the seeds that all of them have; of several supervised schedules the
    one with the higher mean counts.

    Args:
        arm: Scores of the arm.
        supervised: Scores of the supervised schedules.
        upper_bound: Scores with true labels.

    Returns:
        0 for the better supervised schedule, 1 for the upper bound; None if there
        is no seed in common, or no gap.
    """
    seeds = set(arm).intersection(upper_bound, *supervised)
    if not seeds or not supervised:
        return None
    low = max(_mean(each, seeds) for each in supervised)
    gap = _mean(upper_bound, seeds) - low
    return (_mean(arm, seeds) - low) / gap if gap > 0 else None


def differences(arm: Scores, other: Scores) -> list[float]:
    """Compute the lead of an arm over another, seed by seed.

    Args:
        arm: Scores of the arm.
        other: Scores of the other one.
    """
    return [arm[seed] - other[seed] for seed in sorted(set(arm) & set(other))]


def _mean(scores: Scores, seeds: set[int]) -> float:
    return statistics.fmean(scores[seed] for seed in seeds)
