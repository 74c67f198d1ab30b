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
    assert numbers.gap_closed(arm, [LOW], [HIGH]) == pytest.approx(0.55)


def test_the_better_supervised_schedule_counts(numbers):
    better = {0: 0.76, 1: 0.76}
    arm = {0: 0.78, 1: 0.78}
    assert numbers.gap_closed(arm, [LOW, better], [HIGH]) == pytest.approx(1 / 3)


def test_the_better_upper_bound_counts(numbers):
    lower = {0: 0.76, 1: 0.80}
    arm = {0: 0.75, 1: 0.80}
    assert numbers.gap_closed(arm, [LOW], [lower, HIGH]) == pytest.approx(0.55)


def test_of_an_error_the_lower_mean_is_the_better_one(numbers):
    """Each argument negated, and less is better: the share stays."""

    def negated(scores):
        return {seed: -value for seed, value in scores.items()}

    better, bound, arm = {0: 0.76, 1: 0.76}, {0: 0.78, 1: 0.78}, {0: 0.79, 1: 0.79}
    share = numbers.gap_closed(arm, [LOW, better], [bound, HIGH])
    found = numbers.gap_closed(
        negated(arm),
        [*map(negated, [LOW, better])],
        [*map(negated, [bound, HIGH])],
        lower_is_better=True,
    )
    assert found == pytest.approx(share)
    assert found == pytest.approx(0.5)


def test_the_gap_of_an_error_is_closed_downwards(numbers):
    """The set that was kept back: a student above its supervised training."""
    supervised, upper_bound = {0: 0.0704}, {0: 0.0548}
    found = numbers.gap_closed({0: 0.0714}, [supervised], [upper_bound], True)
    assert found == pytest.approx(-0.0010 / 0.0156)
    assert numbers.gap_closed({0: 0.0714}, [supervised], [upper_bound]) is None


def test_seeds_that_one_of_them_lacks_are_left_out(numbers):
    arm = {0: 0.75, 1: 0.10, 2: 0.99}
    low = {0: 0.70, 2: 0.70}
    assert numbers.gap_closed(arm, [low], [{0: 0.80, 1: 0.9}]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ('arm', 'supervised', 'upper_bounds'),
    [
        ({0: 0.8}, [{1: 0.7}], [{0: 0.9}]),
        ({0: 0.8}, [], [{0: 0.9}]),
        ({0: 0.8}, [{0: 0.7}], []),
        ({0: 0.8}, [{0: 0.9}], [{0: 0.9}]),
        ({}, [{0: 0.7}], [{0: 0.9}]),
    ],
)
def test_without_a_common_seed_or_a_gap_there_is_no_share(
    numbers, arm, supervised, upper_bounds
):
    assert numbers.gap_closed(arm, supervised, upper_bounds) is None


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
        scores(low + share * gap), [scores(low)], [scores(low + gap)]
    )
    assert found == pytest.approx(share, abs=1e-9)


def test_differences_are_taken_seed_by_seed(numbers):
    ahead = numbers.differences({2: 0.5, 0: 0.9, 5: 1.0}, {0: 0.8, 2: 0.6, 7: 0.0})
    assert ahead == pytest.approx([0.1, -0.1])


def test_of_two_equal_schedules_the_shorter_is_the_best(numbers):
    assert numbers.best_schedule({2000: 0.8, 500: 0.8, 1000: 0.7}) == 500
    assert numbers.best_schedule({2000: 0.9, 500: 0.8}) == 2000


def test_the_best_schedule_has_the_least_error(numbers):
    scores = {2000: 0.07, 500: 0.08, 1000: 0.07}
    assert numbers.best_schedule(scores, lower_is_better=True) == 1000
