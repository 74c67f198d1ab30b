from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope='module')
def numbers(load):
    return load('gap_recovery.numbers')


LOW = {0: 0.70, 1: 0.74}
HIGH = {0: 0.80, 1: 0.84}


def test_means_over_the_seeds_decide(numbers):
    arm = {0: 0.75, 1: 0.80}
    assert numbers.gap_closed(arm, [LOW], HIGH) == pytest.approx(0.55)


def test_the_better_supervised_schedule_counts(numbers):
    better = {0: 0.76, 1: 0.76}
    arm = {0: 0.78, 1: 0.78}
    assert numbers.gap_closed(arm, [LOW, better], HIGH) == pytest.approx(1 / 3)


def test_seeds_that_one_of_them_lacks_are_left_out(numbers):
    arm = {0: 0.75, 1: 0.10, 2: 0.99}
    low = {0: 0.70, 2: 0.70}
    assert numbers.gap_closed(arm, [low], {0: 0.80, 1: 0.9}) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('arm', 'supervised', 'upper_bound'),
    [
        ({0: 0.8}, [{1: 0.7}], {0: 0.9}),
        ({0: 0.8}, [], {0: 0.9}),
        ({0: 0.8}, [{0: 0.9}], {0: 0.9}),
        ({}, [{0: 0.7}], {0: 0.9}),
    ],
)
def test_without_a_common_seed_or_a_gap_there_is_no_share(
    numbers, arm, supervised, upper_bound
):
    assert numbers.gap_closed(arm, supervised, upper_bound) is None


@given(
    low=st.floats(0, 0.5),
    gap=st.floats(0.01, 0.5),
    share=st.floats(-1, 2),
    noise=st.lists(st.floats(-0.1, 0.1), min_size=1, max_size=5),
)
def test_the_share_that_was_put_in_comes_out(numbers, low, gap, share, noise):
    """Noise that all arms of a seed have in common does not change it."""

    def scores(value):
        return {seed: value + each for seed, each in enumerate(noise)}

    found = numbers.gap_closed(
        scores(low + share * gap), [scores(low)], scores(low + gap)
    )
    assert found == pytest.approx(share, abs=1e-9)


def test_differences_are_taken_seed_by_seed(numbers):
    ahead = numbers.differences({2: 0.5, 0: 0.9, 5: 1.0}, {0: 0.8, 2: 0.6, 7: 0.0})
    assert ahead == pytest.approx([0.1, -0.1])


def test_of_two_equal_schedules_the_shorter_is_the_best(numbers):
    assert numbers.best_schedule({2000: 0.8, 500: 0.8, 1000: 0.7}) == 500
    assert numbers.best_schedule({2000: 0.9, 500: 0.8}) == 2000
