"""Masks of regions against a loop over pixels and edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmdistill.functional.regions import box_corners, region_mask


def slow_mask(corners, size):
    """A pixel is inside if it lies on one side of all edges of the hull."""
    width, height = size
    mask = np.zeros((height, width), dtype=bool)
    for points in corners:
        for y, x in itertools.product(range(height), range(width)):
            # Of all lines through two corners, those with the others on one side.
            inside = True
            for i, j in itertools.permutations(range(4), 2):
                (ax, ay), (bx, by) = points[i], points[j]
                sides = [
                    (bx - ax) * (py - ay) - (by - ay) * (px - ax)
                    for px, py in (*points, (x, y))
                ]
                if min(sides[:4]) >= 0 > sides[4]:
                    inside = False
            mask[y, x] |= inside
    return mask


@pytest.mark.parametrize('seed', range(4))
def test_turned_boxes_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(-4, 16, (3, 2))[:, None] + rng.uniform(2, 12, (3, 1, 1)) * (
        np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    )
    angle = rng.uniform(0, 6)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = boxes @ turn

    mask = region_mask(corners, (18, 13))

    assert np.array_equal(mask, slow_mask(corners, (18, 13)))


def test_straight_boxes_hold_the_pixels_on_their_edges():
    boxes = np.array([[2.0, 1.0, 5.0, 3.5], [-9.0, 4.0, 0.0, 99.0]])

    mask = region_mask(box_corners(boxes), (8, 6))

    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:6] = True
    expected[4:, 0] = True
    assert np.array_equal(mask, expected)


def test_corners_stay_and_boxes_get_theirs():
    boxes = np.array([[2.0, 1.0, 5.0, 3.5]])
    corners = box_corners(boxes)
    assert np.array_equal(box_corners(corners), corners)
    assert np.array_equal(box_corners(corners.reshape(1, 8)), corners)


@pytest.mark.parametrize(
    'box', [[3, 3, 3, 9], [3, 3, 9, 3], [np.nan, 0, 5, 5], [20, 20, 30, 30]]
)
def test_what_has_no_extent_or_is_elsewhere_covers_nothing(box):
    boxes = np.array([box], dtype=float)
    assert not region_mask(box_corners(boxes), (12, 12)).any()
    assert region_mask(box_corners(np.zeros((0, 4))), (3, 2)).shape == (2, 3)
