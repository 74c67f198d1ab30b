"""What a picture looks like, in 256 bits.

The perceptual hash of ImageHash (pHash) with 16 x 16 frequencies. With the usual
8 x 8, half of the frames of a fixed camera have equal hashes although what is seen
moved; with 16 x 16, the same photograph at another size or JPEG quality differs in at
most 8 bits and other ones in 10 and more.

In how many bits packed hashes differ.
"""

from __future__ import annotations

import imagehash
import numpy as np
from PIL import Image

SIDE = 16
"""Frequencies of each axis; the picture is looked at with four times as many pixels."""
BYTES = SIDE * SIDE // 8


def picture_hash(picture: np.ndarray | Image.Image) -> np.ndarray:
    """The perceptual hash of a picture, (32,), uint8.

    Args:
        picture: A gray image, (height, width), uint8, or any image of Pillow.
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    return np.packbits(imagehash.phash(picture, hash_size=SIDE).hash)


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
