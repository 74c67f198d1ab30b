"""Hamming distances of hashes."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.datasets.picture_hash import hamming_distance, near_pairs


@pytest.fixture
def hashes():
    rng = np.random.default_rng(3)
    left = rng.integers(0, 256, (23, 4), dtype=np.uint8)
    right = left[rng.integers(0, 23, 17)] ^ (rng.random((17, 4)) < 0.3).astype(np.uint8)
    return left, right


def test_the_distance_counts_bits():
    left, right = np.array([0b1010, 0], np.uint8), np.array([0b0110, 255], np.uint8)
    assert hamming_distance(left, right) == 2 + 8


@pytest.mark.parametrize('distance', [0, 1, 9, 32])
def test_pairs_are_those_of_a_loop(hashes, distance):
    left, right = hashes
    expected = [
        [i, j]
        for i in range(23)
        for j in range(17)
        if sum(int(a ^ b).bit_count() for a, b in zip(left[i], right[j], strict=True))
        <= distance
    ]
    assert expected
    assert near_pairs(left, right, distance, products=60).tolist() == expected


def test_nothing_pairs_with_nothing(hashes):
    assert near_pairs(hashes[0], hashes[1][:0], 3).shape == (0, 2)
