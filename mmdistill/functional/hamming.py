"""In how many bits packed hashes differ."""

from __future__ import annotations

import numpy as np


def hamming_distance(left: np.ndarray, right: np.ndarray) -> int:
    """Bits in which two hashes differ.

    Args:
        left: A hash, (n,), uint8.
        right: Another one, (n,), uint8.
    """
    return int(np.unpackbits(left ^ right).sum())


def near_pairs(
    left: np.ndarray, right: np.ndarray, distance: int, products: int = 2**24
) -> np.ndarray:
    """Pairs of hashes that differ in few bits.

    Every pair is looked at, as one product of matrices of signs: hashes with h bits
    of which d differ have the product h - 2 d.

    Args:
        left: Hashes, (L, n), uint8.
        right: Hashes, (R, n), uint8.
        distance: Most bits that differ.
        products: Pairs that are looked at together, four bytes each.

    Returns:
        Numbers of the left and of the right hash of each pair, (P, 2), ascending.
    """
    bits = 8 * left.shape[1]
    block = max(1, products // max(1, len(right)))
    signs = _signs(right).T
    found = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(left), block):
        alike = _signs(left[start : start + block]) @ signs
        pairs = np.argwhere(alike >= bits - 2 * distance)
        found.append(pairs + np.array([start, 0]))
    return np.concatenate(found)


def _signs(hashes: np.ndarray) -> np.ndarray:
    """Bits as +1 and -1, (n, bits), float32: exact for sums of whole numbers."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
