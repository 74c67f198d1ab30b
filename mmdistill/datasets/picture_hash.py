"""What a picture looks like, in 256 bits.

The perceptual hash of ImageHash (pHash) with 16 x 16 frequencies. With the usual
8 x 8, half of the frames of a fixed camera have equal hashes although what is seen
moved; with 16 x 16, the same photograph at another size or JPEG quality differs in at
most 8 bits and other ones in 10 and more.
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
        picture: A grey image, (height, width), uint8, or any image of Pillow.
    """
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    return np.packbits(imagehash.phash(picture, hash_size=SIDE).hash)
