"""Images of more than 8 bits, whose numbers mean what their camera says.

MMPose's loader divides numbers of 16 bits by 256, whatever they fill: those of a camera
of 12 bits become black. Here a number is compared with the largest that its camera
could give, which no file states reliably: that of the smallest of 8, 10, 12, 14 and 16
bits which holds the largest number of the image. Numbers with fractions are compared
with 1 where none is larger.

A teacher that was trained on such images through MMPose knows them dark, and is shown
them dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from mmdistill.datasets.folder_walk import is_file
from mmdistill.datasets.image_list import images_of_coco
from mmdistill.errors import UserError

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the numbers that cameras give."""
LOOKED_AT = 16
"""Labeled images that tell of which kind they are."""

_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_JPEG_2000 = (b'\0\0\0\x0cjP  ', b'\xff\x4f\xff\x51')
_NETPBM = (b'P2', b'P3', b'P5', b'P6')
_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_DEPTH = 24
"""Byte of a PNG that states its bits."""


def may_be_deep(data: bytes) -> bool:
    """Whether an image file may hold numbers of more than 8 bits, by its first bytes.

    Args:
        data: The file.
    """
    if data.startswith(_PNG):
        return data[_PNG_DEPTH : _PNG_DEPTH + 1] == b'\x10'
    return data.startswith((*_TIFF, *_JPEG_2000, *_NETPBM))


def deep_pixels(data: bytes) -> tuple[np.ndarray, str] | None:
    """Decode an image of more than 8 bits.

    Args:
        data: The file.

    Returns:
        The pixels, (height, width, 3), uint8, BGR, and how they were scaled; None where
        the numbers have 8 bits or fill 16, or are negative, not finite or larger.
    """
    try:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        numbers = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
    if numbers is None or numbers.dtype == np.uint8 or not np.isfinite(numbers).all():
        return None
    largest = float(numbers.max())
    scale = next((2**bits - 1 for bits in DEPTHS if largest < 2**bits), 0)
    if numbers.min() < 0 or not scale:
        return None
    fractions = np.issubdtype(numbers.dtype, np.floating)
    if fractions and largest <= 1:
        scale = 1
    elif scale == 2 ** DEPTHS[-1] - 1 and numbers.dtype == np.uint16:
        return None
    pixels = np.rint(numbers * (255 / scale)).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    kind = 'fractions' if scale == 1 else f'{scale.bit_length()} bits'
    return np.ascontiguousarray(pixels[..., :3]), kind


class LabeledDepth:
    """Whether labeled images are of the kind that MMPose's loader makes dark.

    Looks at the first few of them, once, and only when asked.

    Args:
        sets: The labeled sets, a dict with `ann_file` and `img_root` of each COCO json.
    """

    def __init__(self, sets: Sequence[Mapping[str, str]] = ()) -> None:
        self._sets = sets

    @cached_property
    def is_dark(self) -> bool:
        """Whether the teacher knows such images dark."""
        return any(_is_dark(file) for one in self._sets for file in _first_files(**one))


def _first_files(ann_file: str, img_root: str) -> list[Path]:
    try:
        paths = images_of_coco(Path(ann_file)).paths
    except UserError:
        # Whether the labeled set is usable is said elsewhere.
        return []
    return [Path(img_root, path) for path in paths[:LOOKED_AT]]


def _is_dark(file: Path) -> bool:
    if not is_file(file):
        return False
    with file.open('rb') as opened:
        if not may_be_deep(opened.read(_PNG_DEPTH + 1)):
            return False
    return deep_pixels(file.read_bytes()) is not None
