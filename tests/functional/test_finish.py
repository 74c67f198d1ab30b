"""Lengths and rates of a finish, and the momentum of averaged weights."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.finish import (
    finish_epochs,
    finish_factor,
    finish_iterations,
    fitting_momentum,
)


@given(st.integers(1, 1000), st.integers(1, 99))
def test_epochs_are_the_exact_share_rounded_up(epochs, percent):
    expected = max(1, -(-epochs * percent // 100))
    assert finish_epochs(epochs, percent / 100) == expected


@pytest.mark.parametrize(
    ('iterations', 'share', 'expected'), [(800, 0.2, 160), (3, 0.1, 1), (7, 0.5, 4)]
)
def test_iterations_are_the_nearest_and_at_least_one(iterations, share, expected):
    assert finish_iterations(iterations, share) == expected


@given(st.integers(1, 500), st.floats(0.01, 2))
def test_the_rate_falls_from_its_factor_to_nothing(length, factor):
    rates = [finish_factor(step, length, factor) for step in range(length + 1)]
    assert rates[0] == factor
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert all(a > b for a, b in pairwise(rates))
    assert sum(rates) == pytest.approx(factor * (length + 1) / 2)


@given(st.integers(200, 200_000))
def test_an_average_forgets_its_first_steps_and_remembers_a_twentieth(iterations):
    momentum = fitting_momentum(iterations)
    assert 1 / momentum == pytest.approx(iterations / 20)
    assert (1 - momentum) ** iterations <= math.exp(-20)


@pytest.mark.parametrize(('iterations', 'momentum'), [(1, 0.1), (10**9, 1e-4)])
def test_momenta_end_where_they_are_usual(iterations, momentum):
    assert fitting_momentum(iterations) == momentum
