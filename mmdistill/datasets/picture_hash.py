"""Perceptual hashes of images in 256 bits, and their Hamming distances.

The hash is ImageHash's pHash with 16 x 16 frequencies. With the usual 8 x 8, half of
the frames of a fixed camera have equal hashes although the subject moved; with 16 x 16,
the same photograph at another size or JPEG quality differs in at most 8 bits, and
other photographs in 10 or more.
"""

from __future__ import annotations

import imagehash
import numpy as np
from PIL import Image

SIDE = 16
"""Frequencies per axis; the image is resized to four times as many pixels."""
BYTES = SIDE * SIDE // 8


def picture_hash(picture: np.ndarray | Image.Image) -> np.ndarray:
    """Compute the perceptual hash of an image, (32,), uint8.

    Args:
        picture: A gray image, (height, width), uint8, or a Pillow image of any mode.
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    return np.packbits(imagehash.phash(picture, hash_size=SIDE).hash)


def hamming_distance(left: np.ndarray, right: np.ndarray) -> int:
    """Count the bits in which two hashes differ.

    Args:
        left: A hash, (n,), uint8.
        right: Another one, (n,), uint8.
    """
    return int(np.unpackbits(left ^ right).sum())


def near_pairs(
    left: np.ndarray, right: np.ndarray, distance: int, products: int = 2**24
) -> np.ndarray:
    """Find the pairs of hashes that differ in few bits.

    All pairs are compared, as one product of sign matrices: hashes with h bits of
    which d differ have the product h - 2 d.

    Args:
        left: Hashes, (L, n), uint8.
        right: Hashes, (R, n), uint8.
        distance: Maximum number of bits that differ.
        products: Pairs that are compared at once, four bytes each.

    Returns:
        Numbers of the left and of the right hash of each pair, (P, 2), ascending.
    """
    bits = 8 * left.shape[1]
    block = max(1, products // max(1, len(right)))
    signs = _signs(right).T
    all_pairs = [np.zeros((0, 2), dtype=np.int64)]
    for start in range(0, len(left), block):
        similarity = _signs(left[start : start + block]) @ signs
        pairs = np.argwhere(similarity >= bits - 2 * distance)
        all_pairs.append(pairs + np.array([start, 0]))
    return np.concatenate(all_pairs)


def _signs(hashes: np.ndarray) -> np.ndarray:
    """Bits as +1 and -1, (n, bits), float32: exact for sums of whole numbers."""
    return np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
