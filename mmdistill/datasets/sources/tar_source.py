"""Source of images in tar shards, read in place with the naming of WebDataset."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from mmdistill.datasets.sources.base import Listing, Source
from mmdistill.datasets.sources.folder_walk import (
    UNREAD_SUFFIXES,
    named_paths,
    suffix_of,
)
from mmdistill.datasets.sources.image_list import SUFFIXES
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage, failed_image
from mmdistill.datasets.sources.patterns import find_files
from mmdistill.errors import DataError
from mmdistill.registry import SOURCES
from mmdistill.store.image_keys import TAR_SUFFIX, container_of, member_key
from mmdistill.utils.files import compression, is_hidden


@SOURCES.register_module()
class TarSource(Source):
    """Source of images in tar files, shard after shard, without extraction.

    Members with a suffix of images are images. Of a sample of WebDataset (``7.png``,
    ``7.json``, ``7.seg.png``) it is the one without a further field; the log counts
    skipped members. Images are read by their offset in the file, so the tars must not
    be compressed.

    Args:
        root: Folder that `path` is relative to.
        path: A tar, a folder with tars at any depth, a pattern of tars, or a range as
            ``'images-{000000..000099}.tar'``. An existing path is taken literally.
        name: Name of the source in counts and thresholds.
    """

    def __init__(self, root: Path, path: str, name: str | None = None) -> None:
        super().__init__(root, path, name)

    def list_images(self) -> Listing:
        """Read the headers of all shards.

        Raises:
            UserError: If no shard has an image.
        """
        keys: list[str] = []
        locations: list[tuple[int, int]] = []
        shards = find_files(self.root, self.path, frozenset({TAR_SUFFIX}))
        problems = list(shards.problems)
        if not shards.paths:
            sentence = (
                f'no tar below {self.root} matches {self.path} (shards must be '
                f'uncompressed and end in {TAR_SUFFIX})'
            )
            raise DataError('; '.join([sentence, *problems]))
        for shard in shards.paths:
            try:
                members = image_members(self.root / shard, SUFFIXES)
            except DataError as error:
                problems.append(str(error))
                continue
            keys += [member_key(shard, name) for name in members.locations]
            locations += members.locations.values()
            problems += members.problems
            if not members.locations:
                problems.append(f'the tar {self.root / shard} holds no image')
        if not keys:
            raise DataError('; '.join(problems))
        return Listing(keys, np.array(locations, dtype=np.int64), problems=problems)

    def read(self, key: str, location: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one member.

        Args:
            key: Its key in the listing.
            location: Offset and number of its bytes, (2,).
            reader: Decoder.
        """
        if too_large := reader.refusal(int(location[1])):
            return failed_image((0, 0), too_large)
        try:
            data = self._bytes(key, location)
        except OSError as error:
            return failed_image((0, 0), error.strerror or str(error))
        if len(data) != location[1]:
            return failed_image((0, 0), 'the tar ends within the image')
        return reader.decode(data)

    def encoded(
        self, key: str, location: np.ndarray, reader: ImageReader
    ) -> bytes | None:
        """Return the bytes of one member, or a PNG of its pixels if they were scaled.

        Args:
            key: Its key in the listing.
            location: Offset and number of its bytes, (2,).
            reader: Decoder.
        """
        image = self.read(key, location, reader)
        return self.encoded_file(image, lambda: self._bytes(key, location))

    def _bytes(self, key: str, location: np.ndarray) -> bytes:
        with (self.root / container_of(key)).open('rb') as file:
            file.seek(int(location[0]))
            return file.read(int(location[1]))


MAX_MEMBER_SIZE = 2**62
"""Maximum size of a member in bytes, within int64."""


@dataclass(frozen=True)
class TarMembers:
    """Images of a tar.

    Attributes:
        locations: Offset and number of bytes of each image, by name.
        problems: Sentences about a truncated tar and skipped members.
    """

    locations: dict[str, tuple[int, int]]
    problems: list[str] = field(default_factory=list)


def image_members(shard: Path, suffixes: Collection[str]) -> TarMembers:
    """Read the headers of a tar.

    The file name of a member up to its first dot names a sample of WebDataset, the
    rest its field. If a sample has an image such as ``7.png``, another one such as
    ``7.seg.png`` is an annotation of it and skipped; other names with dots, such as
    ``7.2024.png``, are images. Of two members of one name the first counts.

    Args:
        shard: The tar.
        suffixes: Suffixes of images, in lower case.

    Raises:
        UserError: If it is not a file, or compressed.
    """
    if not shard.is_file():
        raise DataError(f'the tar {shard} cannot be read to its end: no such file')
    locations: dict[str, tuple[int, int]] = {}
    skipped: dict[str, list[str]] = {}
    problems = []
    try:
        _check_plain(shard)
        for name, location, reason in _members(shard, suffixes, locations):
            if reason:
                skipped.setdefault(reason, []).append(name)
            elif location is not None:
                locations[name] = location
    except DataError:
        raise
    # The parser raises nearly any error on malformed bytes.
    except Exception as error:
        problems.append(
            f'the tar {shard} cannot be read to its end: {error or type(error)} '
            f'({len(locations)} images found before)'
        )
    fields = [name for name in locations if _is_field(name, locations, suffixes)]
    for name in fields:
        del locations[name]
    skipped['fields of samples that have an image'] = fields
    problems += [
        f'{len(names)} members of the tar {shard} are not taken, {reason}: '
        f'{named_paths(names)}'
        for reason, names in skipped.items()
        if names
    ]
    return TarMembers(locations, problems)


def _check_plain(shard: Path) -> None:
    with shard.open('rb') as file:
        start = file.read(8)
    if packed := compression(start):
        raise DataError(
            f'the tar {shard} is compressed ({packed}), and members are read by their '
            'offset; make an uncompressed tar of its content'
        )


def _members(
    shard: Path, suffixes: Collection[str], locations: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, tuple[int, int] | None, str]]:
    """Iterate over name, location and reason to skip of the members that are images.

    Args:
        shard: The tar.
        suffixes: Suffixes of images.
        locations: Earlier images, the targets of links.
    """
    offset = -1
    with tarfile.open(shard, 'r:') as tar:
        for member in tar:
            name, size = member.name, member.size
            # A negative size would lead back in an endless loop.
            if member.offset <= offset or not 0 <= size < MAX_MEMBER_SIZE:
                raise tarfile.ReadError('a header that leads nowhere')
            offset = member.offset
            if member.isdir():
                continue
            if suffix_of(name) in UNREAD_SUFFIXES:
                yield name, None, 'with suffixes that are not read'
            elif suffix_of(name) not in suffixes:
                continue
            elif any(is_hidden(part) for part in PurePosixPath(name).parts[:-1]):
                yield name, None, 'in hidden folders'
            elif is_hidden(PurePosixPath(name).name):
                yield name, None, 'hidden files'
            elif name in locations:
                yield name, None, 'with the name of an earlier one'
            elif member.islnk() and member.linkname in locations:
                yield name, locations[member.linkname], ''
            elif not member.isreg() or member.issparse():
                yield name, None, 'links or other special files'
            else:
                yield name, (member.offset_data, size), ''


def _is_field(name: str, locations: Collection[str], suffixes: Collection[str]) -> bool:
    path = PurePosixPath(name)
    sample, _, rest = path.name.partition('.')
    extra = rest.rpartition('.')[0]
    if not extra or extra.replace('.', '').isdigit():
        return False
    folder = name[: len(name) - len(path.name)]
    return any(f'{folder}{sample}{suffix}' in locations for suffix in suffixes)
