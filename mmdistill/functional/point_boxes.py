"""Boxes around annotated points, and which boxes have an extent."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

Size = tuple[int, int]
"""Width and height of an image."""

MARGIN = 0.1
"""Of the longer side of the points, on each side, where a box is made of them."""
LEAST_HALF = 0.05
"""Of the image's longer side: half of the least box that is made of points."""


def box_of_points(points: Sequence[tuple[float, float]], size: Size) -> list[float]:
    """Box (x, y, width, height) around points, within the image.

    Args:
        points: Points (x, y), pixels of the image, at least one.
        size: Width and height of the image.

    >>> box_of_points([(10, 10), (30, 20)], (100, 100))
    [5.0, 8.0, 30.0, 14.0]
    """
    margin = MARGIN * max(
        max(values) - min(values) for values in zip(*points, strict=True)
    )
    least, box = LEAST_HALF * max(size), []
    for values, side in zip(zip(*points, strict=True), size, strict=True):
        middle = (max(values) + min(values)) / 2
        half = max((max(values) - min(values)) / 2 + margin, least)
        # Points may lie beyond the border; a box has to lie within.
        last = side - 1
        low = min(max(middle - half, 0.0), max(last - 1.0, 0.0))
        high = max(min(middle + half, last), low + 1.0)
        box.append((float(low), float(high)))
    (left, right), (top, bottom) = box
    return [left, top, right - left, bottom - top]


def has_extent(box: Any, size: Size) -> bool:
    """Whether a box has an extent within its image, as MMPose clips it.

    Args:
        box: Any value; a box is a list of x, y, width and height.
        size: Width and height of the image.

    >>> has_extent([10, 10, 0, 5], (64, 48)), has_extent([10, 10, 4, 5], (64, 48))
    (False, True)
    """
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return False
    return all(
        min(max(low + extent, 0), side - 1) > min(max(low, 0), side - 1)
        for low, extent, side in zip(box[:2], box[2:], size, strict=True)
    )


def is_real(value: Any) -> bool:
    """Whether a value is a number, finite or not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that float32 holds."""
    return is_real(value) and abs(value) < 2**100
