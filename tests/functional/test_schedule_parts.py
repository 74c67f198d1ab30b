"""A schedule of several parts grows part by part."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmdistill.functional.schedule_parts import Stretch, stretch_parts

RTMO = [0, 5, 280, 281, 580, 600]
FIXED = [(0, 5), (580, 600)]


def lengths(steps):
    return [high - low for low, high in pairwise(steps)]


@pytest.mark.parametrize('new', [60, 180, 599, 600, 601, 1800])
def test_fixed_parts_and_single_steps_keep_their_length(new):
    stretch = stretch_parts(RTMO, new, FIXED)

    assert stretch.before == tuple(RTMO)
    assert stretch.after[-1] == new
    warm_up, first, single, second, last = lengths(stretch.after)
    assert (warm_up, single, last) == (5, 1, 20)
    assert first / second == pytest.approx(275 / 299, abs=2 / second)


def test_a_schedule_of_one_part_is_scaled():
    stretch = stretch_parts([210], 105)
    assert [stretch(step) for step in (0, 100, 147, 210)] == [0, 50, 74, 105]


def test_the_same_length_changes_nothing():
    stretch = stretch_parts(RTMO, 600, FIXED)
    assert [stretch(step) for step in range(601)] == [*range(601)]


def test_random_schedules_keep_their_order_and_their_parts():
    rng = np.random.default_rng(0)
    for _ in range(50):
        before = np.cumsum(rng.integers(2, 50, rng.integers(1, 6))).tolist()
        stretch = stretch_parts(before, int(before[-1] * rng.uniform(0.8, 4)))

        places = [stretch(step) for step in range(before[-1] + 1)]
        assert places == sorted(places)
        factor = stretch.after[-1] / before[-1]
        for step, place in enumerate(places):
            assert abs(place - step * factor) <= 1


def test_where_all_parts_would_stay_all_are_scaled():
    assert stretch_parts([1, 2], 4).after == (0, 2, 4)


def test_a_step_beyond_the_end_is_moved():
    assert Stretch((0, 10), (0, 30))(12) == 32


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'its 5 parts, .* do not fit into 26 steps'):
        stretch_parts(RTMO, 26, FIXED)
