"""Sizes of network inputs and of codecs at other resolutions.

A backbone halves its input several times, so only multiples of a number are sides of
an input whose output lies on a grid of the same relative positions. Sides are rounded
to it, both at once, so that the aspect ratio stays as near as possible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

MOST_DOUBLINGS = 5
"""Doublings of the stride up to which divisors are tried: 128 at a stride of 4."""


def rounded_size(
    size: tuple[int, int], resolution: float, divisor: int
) -> tuple[int, int]:
    """Compute the size of an input at another resolution, in multiples of a divisor.

    Of the multiples right below and above the exact sides, the pair is taken with the
    least sum of squared logarithms: of both sides and of the aspect ratio, each over
    its exact value.

    Args:
        size: Width and height at resolution 1, pixels.
        resolution: Factor of both sides.
        divisor: Number that divides both sides of the result, pixels.

    Returns:
        Width and height, pixels.

    >>> rounded_size((192, 256), 1.5, divisor=32), rounded_size((192, 256), 0.75, 32)
    ((288, 384), (160, 192))
    """

    def error(rounded: tuple[int, int]) -> float:
        x, y = (
            math.log(side / (exact * resolution))
            for side, exact in zip(rounded, size, strict=True)
        )
        return x**2 + y**2 + (x - y) ** 2

    width, height = (_multiples(side * resolution, divisor) for side in size)
    return min(product(width, height), key=error)


def possible_divisors(
    input_size: tuple[int, int], heatmap_size: tuple[int, int]
) -> Iterator[int]:
    """List numbers that may divide the sides of an input, ascending.

    They are the least number of pixels that makes whole cells, and its doublings.

    Args:
        input_size: Width and height of a network input, pixels.
        heatmap_size: Width and height of its output, cells.

    >>> list(possible_divisors((192, 256), (48, 64)))
    [4, 8, 16, 32, 64, 128]
    >>> next(possible_divisors((224, 224), (64, 64)))
    7
    """
    strides = (
        Fraction(*lengths) for lengths in zip(input_size, heatmap_size, strict=True)
    )
    whole = math.lcm(*(stride.numerator for stride in strides))
    for doublings in range(MOST_DOUBLINGS + 1):
        yield whole * 2**doublings


def grown_sigma(sigma: float, growth: float) -> float:
    """Compute the width of a Gaussian on a grid of another resolution.

    Args:
        sigma: Standard deviation, cells.
        growth: Factor of the number of cells along an axis.

    >>> grown_sigma(2.0, 1.5)
    3.0
    """
    return sigma * growth


def grown_kernel(size: int, growth: float) -> int:
    """Compute the side of a blur kernel on a grid of another resolution, odd.

    Its Gaussian grows with the grid; OpenCV takes ``0.3 * ((size - 1) / 2 - 1) + 0.8``
    as its standard deviation, the rule by which MMPose's codecs pair both.

    Args:
        size: Side of the kernel, cells.
        growth: Factor of the number of cells along an axis.

    >>> grown_kernel(11, 1.5), grown_kernel(11, 1.0), grown_kernel(11, 0.5)
    (17, 11, 5)
    """
    sigma = growth * (0.3 * ((size - 1) / 2 - 1) + 0.8)
    half = (sigma - 0.8) / 0.3 + 1
    return max(1, 2 * round(half) + 1)


def _multiples(side: float, divisor: int) -> list[int]:
    """The multiples of a divisor around a side, at least one divisor."""
    low = math.floor(side / divisor) * divisor
    return [max(divisor, low), low + divisor]
