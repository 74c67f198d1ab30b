"""Decoding of image files of any origin to pixels, or to the reason of a failure.

Images of more than 8 bits need a scale. MMPose's loader divides 16-bit values by 256,
whatever their range: those of a 12-bit camera become black. Here a value is divided by
the largest one that its camera can give, which no file states reliably: the smallest
range of 8, 10, 12, 14 or 16 bits that holds the largest value of the image. Values with
fractions are divided by 1 if none is larger. A teacher that was trained on such images
through MMPose learned them dark, and they are decoded dark for it.
"""

from __future__ import annotations

import copy
import stat
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import ExifTags, Image

from mmdistill.config.schema import UnlabeledConfig
from mmdistill.datasets.sources.folder_walk import is_file
from mmdistill.datasets.sources.image_list import images_of_coco
from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.reduced_decoding import reduced_size
from mmdistill.store.image_keys import SCALED

MAX_PIXELS = UnlabeledConfig.max_pixels
"""Default limit: 67 million pixels, 200 MB decoded."""
BYTES_PER_PIXEL = 8
"""Upper bound of a file's size: four channels of 16 bits."""
FIRST_PAGE = 'the first of several pictures in the file'
"""Note of an image whose other pages or frames are not read."""
JPEG_FORMATS = ('JPEG', 'MPO')
"""Pillow's names of files that begin with a JPEG."""
QUARTER_TURNS = (5, 6, 7, 8)
"""Orientations of EXIF by which width and height are exchanged."""
FIRST_STAYS = (1, 5)
"""Orientations by which the first pixel of a file is that of the upright image."""
REDUCED_FLAGS = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""Flags by which OpenCV decodes at a part of the size, by the factor."""
ReductionOf = Callable[[tuple[int, int]], int]
"""Function that chooses the reduction of an image by its height and width."""
NO_HEADER = 'not an image: no header that Pillow reads'


@dataclass(frozen=True)
class ReadImage:
    """Outcome of reading an image.

    Attributes:
        pixels: The image, (height, width, 3), uint8, BGR; (0, 0, 3) if it failed.
        shape: Height and width, 0 if unknown.
        reason: Reason of a failure, else empty. It holds neither names nor numbers, so
            that failures of one kind have equal reasons.
        note: Remark on an image that was read, else empty. If it starts with
            `SCALED`, the pixels differ from those of MMPose's loader.
        reduction: Factor by which the pixels are fewer along both axes; `shape` is
            that of the whole image.
    """

    pixels: np.ndarray
    shape: tuple[int, int]
    reason: str
    note: str = ''
    reduction: int = 1

    @property
    def is_scaled(self) -> bool:
        """Whether the pixels differ from those of MMPose's loader."""
        return self.note.startswith(SCALED)


class ImageReader:
    """Reader of images that decodes as MMPose's `LoadImage`, within a size limit.

    Images of more than 8 bits are the exception, see the module; those that MMPose
    would decode black, or not at all, are written to the label store for training.

    The size is taken from the header before anything is decoded, and the file must
    be a regular one: neither a decompression bomb nor an endless device takes more
    memory than an image of `max_pixels`.

    Args:
        max_pixels: Width times height above which an image is not decoded.
        labeled: Bit depth of the labeled images that the teacher was trained on.

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
        self._reduction_of: ReductionOf | None = None

    def reducing(self, reduction_of: ReductionOf) -> ImageReader:
        """Return a reader alike that decodes JPEGs at a part of their size.

        Args:
            reduction_of: Function that chooses 1, 2, 4 or 8 for an image by its height
                and width.
        """
        reader = copy.copy(self)
        reader._reduction_of = reduction_of
        return reader

    def read(self, path: Path) -> ReadImage:
        """Read one image; a failure is returned as a reason.

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
        """Decode the bytes of an image file; a failure is returned as a reason.

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
        """Return the reason to refuse a file for its size, else an empty string.

        Args:
            size: Its size, bytes.
        """
        try:
            self._check_size(size)
        except _BadFileError as error:
            return error.reason
        return ''

    def _decoded(self, file: Path | BytesIO) -> ReadImage:
        header = self._header(file)
        try:
            data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            reduced = self._reduced(header, data)
            if reduced is not None:
                return reduced
            pixels, note = self._pixels(data)
        except OSError as error:
            return failed_image(header.shape, error.strerror or str(error))
        except MemoryError:
            return failed_image(header.shape, 'more memory than there is')
        if pixels is None:
            return failed_image(header.shape, 'not an image that OpenCV decodes')
        notes = [note] if note else []
        notes += [FIRST_PAGE] if header.pages > 1 else []
        height, width = pixels.shape[:2]
        return ReadImage(pixels, (height, width), '', '; '.join(notes))

    def _reduced(self, header: _Header, data: bytes) -> ReadImage | None:
        """The image at a part of its size; None if all of it is to be decoded."""
        if self._reduction_of is None or header.orientation is None:
            return None
        shape = header.upright_shape
        reduction = header.aligned(self._reduction_of(shape))
        if reduction == 1:
            return None
        try:
            encoded = np.frombuffer(data, dtype=np.uint8)
            pixels = cv2.imdecode(encoded, REDUCED_FLAGS[reduction])
        except cv2.error:
            return None
        # OpenCV may read another orientation than Pillow, or give up.
        expected = reduced_size(shape[::-1], reduction)
        if pixels is None or pixels.shape[1::-1] != expected:
            return None
        return ReadImage(pixels, shape, '', reduction=reduction)

    def _pixels(self, data: bytes) -> tuple[np.ndarray | None, str]:
        """Decode an image file to pixels and a note."""
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

    def _header(self, file: Path | BytesIO) -> _Header:
        """Header of a file, parsed by Pillow."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                with Image.open(file) as image:
                    width, height = image.size
                    pages = _pages(image)
                    reduces = self._reduction_of is not None
                    orientation = _orientation(image) if reduces else None
        except Image.DecompressionBombError as error:
            data = file.read_bytes() if isinstance(file, Path) else file.getvalue()
            shape = _claimed_shape(data)
            raise _BadFileError('more pixels than max_pixels', shape) from error
        except OSError as error:
            # Errors of the system have an errno, those of parsers do not.
            if error.errno is not None:
                raise
            raise _BadFileError(NO_HEADER) from error
        # Pillow's parsers raise nearly any error on malformed bytes.
        except Exception as error:
            raise _BadFileError(NO_HEADER) from error
        if width * height > self.max_pixels:
            raise _BadFileError('more pixels than max_pixels', (height, width))
        return _Header((height, width), pages, orientation)


@dataclass(frozen=True)
class _Header:
    """What the header of an image file states.

    Attributes:
        shape: Height and width before rotation by EXIF.
        pages: Number of pages.
        orientation: Orientation by EXIF of a JPEG that may be reduced, else None.
    """

    shape: tuple[int, int]
    pages: int
    orientation: int | None

    @property
    def upright_shape(self) -> tuple[int, int]:
        """Height and width after rotation."""
        height, width = self.shape
        turned = self.orientation in QUARTER_TURNS
        return (width, height) if turned else (height, width)

    def aligned(self, reduction: int) -> int:
        """Lessen a reduction until its pixels begin at the upright image's corner.

        Pixels of a reduced image are squares from the first pixel of the file on, the
        last ones being cut off. Where rotation puts another pixel first, they would lie
        by a part of a pixel elsewhere unless they divide the image.
        """
        while self.orientation not in FIRST_STAYS and any(
            side % reduction for side in self.shape
        ):
            reduction //= 2
        return reduction


def _orientation(image: Image.Image) -> int | None:
    """Orientation of a JPEG by EXIF; None of other files and where it is unreadable."""
    if image.format not in JPEG_FORMATS:
        return None
    # Pillow's parser raises nearly any error on malformed bytes.
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return None


def _pages(image: Image.Image) -> int:
    """Number of pages in a file; 1 for MPO, the multi-picture format of phones."""
    if image.format == 'MPO':
        return 1
    try:
        # Pillow gives the number only to formats that can have several pages.
        return int(getattr(image, 'n_frames', 1))
    # The first page may be readable although the list of pages is not.
    except Exception:
        return 1


def _claimed_shape(data: bytes) -> tuple[int, int]:
    """Height and width of an image that Pillow refuses to open for its size."""
    for factory, accepts in (Image.OPEN[name] for name in Image.ID):
        # Some parsers refuse with a message instead of False.
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
    """Return the outcome of an image that cannot be used.

    Args:
        shape: Height and width, 0 if unknown.
        reason: The reason; it holds neither names nor numbers.
    """
    return ReadImage(np.zeros((0, 0, 3), dtype=np.uint8), shape, reason)


DEPTHS = (8, 10, 12, 14, 16)
"""Bit depths of cameras."""
SAMPLED = 16
"""Number of labeled images whose bit depth is checked."""

_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_JPEG_2000 = (b'\0\0\0\x0cjP  ', b'\xff\x4f\xff\x51')
_NETPBM = (b'P2', b'P3', b'P5', b'P6')
_PNG = b'\x89PNG\r\n\x1a\n'
_PNG_DEPTH = 24
"""Offset of the bit depth in a PNG."""


def may_be_deep(data: bytes) -> bool:
    """Whether an image file may have more than 8 bits, by its first bytes.

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
        The pixels, (height, width, 3), uint8, BGR, and a description of their scale;
        None if values have 8 bits, use all of 16, are negative, not finite or larger.
    """
    try:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        values = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
    if values is None or values.dtype == np.uint8 or not np.isfinite(values).all():
        return None
    largest = float(values.max())
    scale = next((2**bits - 1 for bits in DEPTHS if largest < 2**bits), 0)
    if values.min() < 0 or not scale:
        return None
    fractions = np.issubdtype(values.dtype, np.floating)
    if fractions and largest <= 1:
        scale = 1
    elif scale == 2 ** DEPTHS[-1] - 1 and values.dtype == np.uint16:
        return None
    pixels = np.rint(values * (255 / scale)).astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    kind = 'fractions' if scale == 1 else f'{scale.bit_length()} bits'
    return np.ascontiguousarray(pixels[..., :3]), kind


class LabeledDepth:
    """Bit depth of labeled images, which MMPose's loader may have decoded dark.

    The first few images are checked once, on first access.

    Args:
        sets: The labeled sets, a dict with `ann_file` and `img_root` of each COCO json.
    """

    def __init__(self, sets: Sequence[Mapping[str, str]] = ()) -> None:
        self._sets = sets

    @cached_property
    def is_dark(self) -> bool:
        """Whether labeled images are decoded dark by MMPose."""
        return any(
            _is_dark(file)
            for labeled_set in self._sets
            for file in _first_files(**labeled_set)
        )


def _first_files(ann_file: str, img_root: str) -> list[Path]:
    try:
        paths = images_of_coco(Path(ann_file)).paths
    except DataError:
        # Another check reports unusable labeled sets.
        return []
    return [Path(img_root, path) for path in paths[:SAMPLED]]


def _is_dark(file: Path) -> bool:
    if not is_file(file):
        return False
    with file.open('rb') as opened:
        if not may_be_deep(opened.read(_PNG_DEPTH + 1)):
            return False
    return deep_pixels(file.read_bytes()) is not None
