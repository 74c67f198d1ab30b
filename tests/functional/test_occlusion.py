"""Pixels that boxes cover, compared with a loop over pixels and boxes."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.functional.occlusion import covered_pixels, crop_side, occludable


def covered_by_a_loop(centers, half_sides, width, height):
    mask = np.zeros((height, width), dtype=bool)
    for y in range(height):
        for x in range(width):
            for (cx, cy), half in zip(centers, half_sides, strict=True):
                if abs(x - cx) <= half and abs(y - cy) <= half:
                    mask[y, x] = True
    return mask


@pytest.mark.parametrize('number', [0, 1, 4])
@pytest.mark.parametrize('seed', range(5))
def test_boxes_cover_what_a_loop_over_pixels_says(number, seed):
    rng = np.random.default_rng(seed)
    # Some lie partly or wholly outside of the crop.
    centers = rng.uniform(-4, 20, (number, 2))
    halves = rng.uniform(0, 6, number)
    mask = covered_pixels(centers, halves, width=17, height=11)
    assert mask.dtype == bool
    assert np.array_equal(mask, covered_by_a_loop(centers, halves, 17, 11))


def test_borders_are_covered():
    mask = covered_pixels(np.array([[2.0, 1.0]]), np.array([1.0]), width=5, height=4)
    assert np.argwhere(mask).tolist() == (
        [[0, 1], [0, 2], [0, 3], [1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]
    )


def test_the_side_is_that_of_a_square_as_large():
    assert crop_side(192, 256) ** 2 == pytest.approx(192 * 256)


def test_visible_keypoints_within_the_crop_are_covered():
    keypoints = np.array([[0, 0], [9, 4], [9.5, 4], [3, -0.1], [5, 2], [5, 2]])
    visible = np.array([1, 1, 1, 1, 0, 0.2])
    mask = occludable(keypoints, visible, width=10, height=5)
    assert mask.tolist() == [True, True, False, False, False, True]
