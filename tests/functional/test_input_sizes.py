"""Tests of input sizes and codec settings at other resolutions."""

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.input_sizes import (
    grown_kernel,
    grown_sigma,
    possible_divisors,
    rounded_size,
)


def deviation(rounded, size, resolution):
    x, y = (math.log(r / (s * resolution)) for r, s in zip(rounded, size, strict=True))
    return x**2 + y**2 + (x - y) ** 2


@given(
    columns=st.integers(4, 8),
    rows=st.integers(4, 8),
    divisor=st.sampled_from([4, 8, 14, 32]),
    resolution=st.floats(0.5, 3),
)
def test_no_other_multiples_are_nearer(columns, rows, divisor, resolution):
    size = columns * divisor, rows * divisor
    rounded = rounded_size(size, resolution, divisor)
    assert all(side % divisor == 0 and side > 0 for side in rounded)
    multiples = [divisor * n for n in range(1, 30)]
    best = min(
        deviation(pair, size, resolution)
        for pair in itertools.product(multiples, repeat=2)
    )
    assert deviation(rounded, size, resolution) == pytest.approx(best, abs=1e-12)


def test_a_side_is_never_nothing():
    assert rounded_size((64, 64), 0.01, 32) == (32, 32)


@pytest.mark.parametrize(('growth', 'size'), [(1.0, 11), (1.0, 4), (1.5, 11), (0.5, 3)])
def test_a_kernel_stays_odd(growth, size):
    assert grown_kernel(size, growth) % 2 == 1


@pytest.mark.parametrize('size', [3, 5, 9, 11, 17])
def test_a_kernel_does_not_grow_without_its_grid(size):
    assert grown_kernel(size, 1.0) == size


@pytest.mark.parametrize(('size', 'growth'), [(11, 1.5), (9, 4 / 3), (11, 2.0)])
def test_the_gaussian_of_a_kernel_grows_with_the_grid(size, growth):
    """OpenCV chooses the standard deviation by the side of the kernel."""

    def deviation_of(side):
        weights = cv2.getGaussianKernel(side, 0)[:, 0]
        cells = np.arange(side) - side // 2
        return math.sqrt((weights * cells**2).sum())

    grown = deviation_of(grown_kernel(size, growth))
    # Half a step between two odd sides is 0.3 cells of standard deviation.
    assert grown == pytest.approx(growth * deviation_of(size), abs=0.3)


def test_mmposes_configs_for_larger_inputs_grow_alike():
    """td-hm_hrnet-w32 with DARK: 256x192 has sigma 2, and 384x288 has 3 and 17."""
    assert (grown_sigma(2, 1.5), grown_kernel(11, 1.5)) == (3, 17)


def test_divisors_make_whole_cells():
    for divisor in possible_divisors((96, 224), (24, 64)):
        assert divisor * 24 % 96 == 0
        assert divisor * 64 % 224 == 0
