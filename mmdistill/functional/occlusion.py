"""Pixels of a crop that boxes cover: the occlusion of joints."""

from __future__ import annotations

import numpy as np


def crop_side(width: int, height: int) -> float:
    """Side of the square that is as large as a crop, the unit of occlusions.

    Args:
        width: Width of the crop, pixels.
        height: Height of the crop, pixels.

    >>> crop_side(192, 48)
    96.0
    """
    return float(np.sqrt(width * height))


def covered_pixels(
    centers: np.ndarray, half_sides: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Mark the pixels of a crop that square boxes cover.

    A pixel is covered by a box if its center lies in it, borders included.

    Args:
        centers: Centers (x, y) of the boxes in pixels of the crop, (N, 2); the center
            of the first pixel is (0, 0).
        half_sides: Half the side of each box, pixels, (N,).
        width: Width of the crop, pixels.
        height: Height of the crop, pixels.

    Returns:
        Mask of the covered pixels, (height, width), bool.

    >>> covered_pixels(np.array([[1.0, 0.0]]), np.array([1.0]), width=4, height=2)
    array([[ True,  True,  True, False],
           [ True,  True,  True, False]])
    """
    columns = np.abs(np.arange(width) - centers[:, :1]) <= half_sides[:, None]
    rows = np.abs(np.arange(height) - centers[:, 1:]) <= half_sides[:, None]
    covered: np.ndarray = (rows[:, :, None] & columns[:, None, :]).any(axis=0)
    return covered


def occludable(
    keypoints: np.ndarray, visible: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Mark the keypoints that an occlusion may cover: visible ones within the crop.

    Args:
        keypoints: Keypoints (x, y) in pixels of the crop, (K, 2).
        visible: Visibility of each, (K,).
        width: Width of the crop, pixels.
        height: Height of the crop, pixels.

    Returns:
        Mask of the keypoints, (K,), bool.

    >>> corners = np.array([[0.0, 0.0], [3.0, 1.0], [4.0, 1.0]])
    >>> occludable(corners, np.array([1.0, 0.0, 1.0]), width=4, height=2).tolist()
    [True, False, False]
    """
    inside = (keypoints >= 0) & (keypoints <= np.array([width - 1, height - 1]))
    return inside.all(axis=-1) & (visible > 0)
