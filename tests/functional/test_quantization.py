"""Rounding to steps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mmdistill.functional.quantization import rounded


@pytest.mark.parametrize('steps', [1, 64, 1024])
def test_each_value_becomes_its_nearest_multiple(steps):
    values = np.random.default_rng(0).uniform(-3, 3, (5, 4)).astype(np.float32)
    expected = [Fraction(round(Fraction(float(v)) * steps), steps) for v in values.flat]
    assert [Fraction(float(v)) for v in rounded(values, steps).flat] == expected


def test_rounding_twice_changes_nothing():
    once = rounded(np.random.default_rng(0).uniform(0, 9000, 1000), 64)
    assert once.dtype == np.float32
    assert np.array_equal(rounded(once, 64), once)
