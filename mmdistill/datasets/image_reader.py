"""Reading an image that nobody vouches for: pixels, or the reason why not."""

from __future__ import annotations

import stat
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image

from mmdistill.errors import UserError

MAX_PIXELS = 2**26
"""Default limit: 67 million pixels, 200 MB decoded."""
BYTES_PER_PIXEL = 8
"""Four channels of 16 bits: no file of pixels needs more, header and all."""


@dataclass(frozen=True)
class ReadImage:
    """What became of a file.

    Attributes:
        pixels: The image, (height, width, 3), uint8, BGR; (0, 0, 3) if it failed.
        shape: Height and width, as far as they are known, else 0.
        reason: Why it failed, else empty. It names neither file nor numbers, so that
            equal failures count as equal.
    """

    pixels: np.ndarray
    shape: tuple[int, int]
    reason: str


class ImageReader:
    """Read images as MMPose's `LoadImage` does, within a limit.

    The size is taken from the header before anything is decoded, and the file must
    be a regular one: neither a decompression bomb nor an endless device takes more
    memory than an image of `max_pixels`.

    Args:
        max_pixels: Width times height above which an image is not decoded.

    Raises:
        UserError: If `max_pixels` is not positive, or above what Pillow opens.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        most = 2 * (Image.MAX_IMAGE_PIXELS or max_pixels)
        if not 0 < max_pixels <= most:
            raise UserError(f'max_pixels must be 1 to {most}, got {max_pixels}')
        self.max_pixels = max_pixels

    def read(self, path: Path) -> ReadImage:
        """Read one image; whatever is wrong with the file is a reason.

        Args:
            path: The file.
        """
        try:
            self._check_file(path)
            return self._decoded(path)
        except OSError as error:
            return failed_image((0, 0), error.strerror or str(error))
        except _BadFileError as error:
            return failed_image(error.shape, error.reason)

    def decode(self, data: bytes) -> ReadImage:
        """Decode the bytes of an image file; whatever is wrong is a reason.

        Args:
            data: The bytes.
        """
        try:
            self._check_size(len(data))
            return self._decoded(BytesIO(data))
        except _BadFileError as error:
            return failed_image(error.shape, error.reason)

    def refusal(self, size: int) -> str:
        """Why a file of so many bytes is not read; empty if it is."""
        try:
            self._check_size(size)
        except _BadFileError as error:
            return error.reason
        return ''

    def _decoded(self, file: Path | BytesIO) -> ReadImage:
        shape = self._header_shape(file)
        try:
            data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            pixels = mmcv.imfrombytes(data, backend='cv2')
        except OSError as error:
            return failed_image(shape, error.strerror or str(error))
        except MemoryError:
            return failed_image(shape, 'more memory than there is')
        except cv2.error:
            pixels = None
        if pixels is None:
            return failed_image(shape, 'not an image that OpenCV decodes')
        return ReadImage(pixels, pixels.shape[:2], '')

    def _check_file(self, path: Path) -> None:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _BadFileError('Is a directory')
        if not stat.S_ISREG(status.st_mode):
            raise _BadFileError('not a regular file')
        self._check_size(status.st_size)

    def _check_size(self, size: int) -> None:
        if size == 0:
            raise _BadFileError('a file without bytes')
        if size > BYTES_PER_PIXEL * self.max_pixels + 2**20:
            raise _BadFileError('more bytes than max_pixels may need')

    def _header_shape(self, file: Path | BytesIO) -> tuple[int, int]:
        """Height and width by the header, before any turn that EXIF asks for."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                with Image.open(file) as image:
                    width, height = image.size
        except Image.DecompressionBombError as error:
            data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            shape = _claimed_shape(data)
            raise _BadFileError('more pixels than max_pixels', shape) from error
        except FileNotFoundError:
            raise
        # Pillow's parsers let nearly any error through when the bytes are hostile.
        except Exception as error:
            raise _BadFileError('not an image: no header that Pillow reads') from error
        if width * height > self.max_pixels:
            raise _BadFileError('more pixels than max_pixels', (height, width))
        return height, width


def _claimed_shape(data: bytes) -> tuple[int, int]:
    """Height and width of an image that Pillow refuses to open for its size."""
    for factory, accepts in (Image.OPEN[name] for name in Image.ID):
        # A parser that says so in words does not claim the file either.
        if accepts is not None and accepts(data[:16]) is True:
            with suppress(Exception):
                width, height = factory(BytesIO(data), '').size
                return height, width
    return 0, 0


class _BadFileError(Exception):
    def __init__(self, reason: str, shape: tuple[int, int] = (0, 0)) -> None:
        super().__init__(reason)
        self.reason = reason
        self.shape = shape


def failed_image(shape: tuple[int, int], reason: str) -> ReadImage:
    """What became of an image that can not be used.

    Args:
        shape: Height and width, as far as they are known, else 0.
        reason: Why; it names neither file nor numbers.
    """
    return ReadImage(np.zeros((0, 0, 3), dtype=np.uint8), shape, reason)
