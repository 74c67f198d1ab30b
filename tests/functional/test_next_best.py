"""The next best candidates against a slow loop."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.count_matching import next_best


def slowly(values, groups, kept, num_groups) -> list[bool]:
    marked = [False] * len(values)
    for group in range(num_groups):
        count = sum(1 for g, k in zip(groups, kept, strict=True) if g == group and k)
        rest = [n for n in range(len(values)) if groups[n] == group and not kept[n]]
        for number in rest:
            better = sum(values[other] > values[number] for other in rest)
            marked[number] = better < count
    return marked


@pytest.mark.parametrize('seed', range(8))
def test_they_are_those_of_a_slow_loop(seed):
    rng = np.random.default_rng(seed)
    # Few values, so that many are equal.
    values, groups = rng.integers(0, 12, 60) / 12, rng.integers(0, 3, 60)
    kept = values >= np.array([0.6, 0.9, 1.5])[groups]

    marked = next_best(values, groups, kept, 3)

    assert marked.tolist() == slowly(values, groups, kept, 3)
    assert marked.any()
    assert not (marked & kept).any()


def test_where_nothing_is_kept_or_rejected_there_are_none():
    values, one = np.array([0.5, 0.4]), np.zeros(2, int)

    assert not next_best(values, one, np.zeros(2, bool), 1).any()
    assert not next_best(values, one, np.ones(2, bool), 1).any()
    assert next_best(np.zeros(0), np.zeros(0, int), np.zeros(0, bool), 2).shape == (0,)
