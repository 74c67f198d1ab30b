"""Reading an image that nobody vouches for: pixels, or the reason why not.

Images of more than 8 bits, whose numbers mean what their camera says.

MMPose's loader divides numbers of 16 bits by 256, whatever they fill: those of a camera
of 12 bits become black. Here a number is compared with the largest that its camera
could give, which no file states reliably: that of the smallest of 8, 10, 12, 14 and 16
bits which holds the largest number of the image. Numbers with fractions are compared
with 1 where none is larger.

A teacher that was trained on such images through MMPose knows them dark, and is shown
them dark.
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image

from mmdistill.config.schema import UnlabeledConfig
from mmdistill.datasets.sources.folder_walk import is_file
from mmdistill.datasets.sources.image_list import images_of_coco
from mmdistill.errors import ConfigError, DataError
from mmdistill.store.image_keys import SCALED

MAX_PIXELS = UnlabeledConfig.max_pixels
"""Default limit: 67 million pixels, 200 MB decoded."""
BYTES_PER_PIXEL = 8
"""Four channels of 16 bits: no file of pixels needs more, header and all."""
FIRST_PAGE = 'the first of several pictures in the file'
"""Note of an image whose further pages or frames are not read."""


NO_HEADER = 'not an image: no header that Pillow reads'


@dataclass(frozen=True)
class ReadImage:
    """What became of a file.

    Attributes:
        pixels: The image, (height, width, 3), uint8, BGR; (0, 0, 3) if it failed.
        shape: Height and width, as far as they are known, else 0.
        reason: Why it failed, else empty. It names neither file nor numbers, so that
            equal failures count as equal.
        note: What a user should know of an image that was read, else empty. Where it
            begins with `SCALED`, the pixels are not those that MMPose's loader gives.
    """

    pixels: np.ndarray
    shape: tuple[int, int]
    reason: str
    note: str = ''

    @property
    def is_scaled(self) -> bool:
        """Whether MMPose's loader gives other pixels."""
        return self.note.startswith(SCALED)


class ImageReader:
    """Read images as MMPose's `LoadImage` does, within a limit.

    Images of more than 8 bits are the exception, see the module:
    those that MMPose would show black, or not at all, train from the label store.

    The size is taken from the header before anything is decoded, and the file must
    be a regular one: neither a decompression bomb nor an endless device takes more
    memory than an image of `max_pixels`.

    Args:
        max_pixels: Width times height above which an image is not decoded.
        labeled: Tells how the teacher knows images of more than 8 bits.

    Raises:
        UserError: If `max_pixels` is not positive, or above what Pillow opens.
    """

    def __init__(
        self, max_pixels: int = MAX_PIXELS, labeled: LabeledDepth | None = None
    ) -> None:
        most = 2 * (Image.MAX_IMAGE_PIXELS or max_pixels)
        if not 0 < max_pixels <= most:
            raise ConfigError(f'max_pixels must be 1 to {most}, got {max_pixels}')
        self.max_pixels = max_pixels
        self._labeled = labeled or LabeledDepth()

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
        except ValueError:
            # A name from a json, with NUL or half of a surrogate pair.
            return failed_image((0, 0), 'no file can have such a name')

    def decode(self, data: bytes) -> ReadImage:
        """Decode the bytes of an image file; whatever is wrong is a reason.

        Args:
            data: The bytes.
        """
        try:
            self._check_size(len(data))
            return self._decoded(BytesIO(data))
        except OSError:
            return failed_image((0, 0), NO_HEADER)
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
        shape, pages = self._header(file)
        try:
            data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            pixels, note = self._pixels(data)
        except OSError as error:
            return failed_image(shape, error.strerror or str(error))
        except MemoryError:
            return failed_image(shape, 'more memory than there is')
        if pixels is None:
            return failed_image(shape, 'not an image that OpenCV decodes')
        notes = [note] if note else []
        notes += [FIRST_PAGE] if pages > 1 else []
        height, width = pixels.shape[:2]
        return ReadImage(pixels, (height, width), '', '; '.join(notes))

    def _pixels(self, data: bytes) -> tuple[np.ndarray | None, str]:
        """The pixels of an image file, and what a user should know of them."""
        try:
            pixels = mmcv.imfrombytes(data, backend='cv2')
        except cv2.error:
            pixels = None
        deep = deep_pixels(data) if may_be_deep(data) else None
        if deep is None or (pixels is not None and np.array_equal(deep[0], pixels)):
            return pixels, ''
        if pixels is not None and self._labeled.is_dark:
            return pixels, f'{deep[1]} in 16, as dark as the labeled images'
        return deep[0], f'{SCALED} from {deep[1]}'

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

    def _header(self, file: Path | BytesIO) -> tuple[tuple[int, int], int]:
        """Height and width before any turn by EXIF, and how many pictures there are."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                with Image.open(file) as image:
                    width, height = image.size
                    pages = _pages(image)
        except Image.DecompressionBombError as error:
            data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            shape = _claimed_shape(data)
            raise _BadFileError('more pixels than max_pixels', shape) from error
        except OSError as error:
            # The system's own errors have a number, those of parsers have none.
            if error.errno is not None:
                raise
            raise _BadFileError(NO_HEADER) from error
        # Pillow's parsers let nearly any error through when the bytes are hostile.
        except Exception as error:
            raise _BadFileError(NO_HEADER) from error
        if width * height > self.max_pixels:
            raise _BadFileError('more pixels than max_pixels', (height, width))
        return (height, width), pages


def _pages(image: Image.Image) -> int:
    """Pictures in a file; those beside a photograph of a phone do not count."""
    if image.format == 'MPO':
        return 1
    try:
        return int(getattr(image, 'n_frames', 1))
    # The first one may be good though the list of the others is not.
    except Exception:
        return 1


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
    """What became of an image that cannot be used.

    Args:
        shape: Height and width, as far as they are known, else 0.
        reason: Why; it names neither file nor numbers.
    """
    return ReadImage(np.zeros((0, 0, 3), dtype=np.uint8), shape, reason)


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
    except DataError:
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
