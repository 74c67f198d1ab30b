"""Images in tar shards, named as WebDataset names them."""

from __future__ import annotations

import itertools
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mmdistill.datasets.image_list import SUFFIXES
from mmdistill.datasets.image_reader import ImageReader, ReadImage, failed_image
from mmdistill.datasets.sources.file_sources import matching_files
from mmdistill.datasets.sources.source import Listing, Source
from mmdistill.errors import UserError
from mmdistill.labels.image_files import TAR_SUFFIX, container_of, member_key
from mmdistill.registry import SOURCES

_BRACES = re.compile(r'\{(\d+)\.\.(\d+)\}')


@SOURCES.register_module()
class TarSource(Source):
    """Images in tar files, shard after shard, read where they are.

    A member's name up to the first dot of its last part is a sample, the rest its
    field: fields such as ``jpg`` and ``png`` are images; others (``json``, ``cls``,
    ``seg.png``) are ignored. Images are read by their place in the file, so the tars
    must not be compressed.

    Args:
        root: Folder that `path` is relative to.
        path: A tar, a pattern of tars, or a range as ``'pile-{000000..000099}.tar'``.
        name: What labels of these images are counted under.
    """

    def __init__(self, root: Path, path: str, name: str | None = None) -> None:
        super().__init__(root, path, name)

    def list_images(self) -> Listing:
        """Read the headers of all shards.

        Raises:
            UserError: If no shard has an image.
        """
        keys: list[str] = []
        places: list[tuple[int, int]] = []
        problems: list[str] = []
        for shard in self._shards():
            before = len(keys)
            try:
                for name, offset, size in _images(self.root / shard):
                    keys.append(member_key(shard, name))
                    places.append((offset, size))
                if len(keys) == before:
                    problems.append(f'the tar {self.root / shard} holds no image')
            except (OSError, tarfile.TarError) as error:
                problems.append(
                    f'the tar {self.root / shard} can not be read to its end: {error} '
                    f'({len(keys) - before} images found before)'
                )
        if not keys:
            raise UserError('; '.join(problems))
        return Listing(keys, np.array(places, dtype=np.int64), problems=problems)

    def read(self, key: str, place: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one member.

        Args:
            key: Its name in the listing.
            place: Where its bytes begin, and how many they are, (2,).
            reader: Decodes it.
        """
        if too_large := reader.refusal(int(place[1])):
            return failed_image((0, 0), too_large)
        try:
            data = self._bytes(key, place)
        except OSError as error:
            return failed_image((0, 0), error.strerror or str(error))
        if len(data) != place[1]:
            return failed_image((0, 0), 'the tar ends within the image')
        return reader.decode(data)

    def encoded(self, key: str, place: np.ndarray, reader: ImageReader) -> bytes | None:
        """The bytes of one member as they are.

        Args:
            key: Its name in the listing.
            place: Where its bytes begin, and how many they are, (2,).
            reader: Not used.
        """
        return self._bytes(key, place)

    def _bytes(self, key: str, place: np.ndarray) -> bytes:
        with (self.root / container_of(key)).open('rb') as file:
            file.seek(int(place[0]))
            return file.read(int(place[1]))

    def _shards(self) -> list[str]:
        if not _BRACES.search(self.path):
            found = matching_files(self.root, self.path, frozenset({TAR_SUFFIX}))
            if not found:
                raise UserError(
                    f'no tar below {self.root} matches {self.path} (shards must be '
                    f'uncompressed and end in {TAR_SUFFIX})'
                )
            return found
        return list(_expanded(self.path))


def _expanded(pattern: str) -> Iterator[str]:
    """The names that a pattern with ranges as {000..099} stands for."""
    texts = _BRACES.split(pattern)[::3]
    ranges = [
        [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
        for first, last in _BRACES.findall(pattern)
    ]
    for numbers in itertools.product(*ranges):
        yield ''.join(a + b for a, b in zip(texts, [*numbers, ''], strict=True))


def _images(shard: Path) -> Iterator[tuple[str, int, int]]:
    """Name, place of the bytes and their number of each image of a tar."""
    seen = set()
    with tarfile.open(shard, 'r:') as tar:
        for member in tar:
            field = '.' + Path(member.name).name.partition('.')[2].lower()
            if member.isreg() and field in SUFFIXES and member.name not in seen:
                seen.add(member.name)
                yield member.name, member.offset_data, member.size
