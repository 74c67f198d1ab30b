"""Images in tar shards, named as WebDataset names them.

Which members of a tar are images, and where their bytes are.
"""

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
    """Images in tar files, shard after shard, read where they are.

    Members whose names end as those of images do are images. Of a sample of WebDataset
    (``7.png``, ``7.json``, ``7.seg.png``) it is the one without a further field; the
    log counts those that are not taken. Images are read by their place in the file,
    so the tars must not be compressed.

    Args:
        root: Folder that `path` is relative to.
        path: A tar, a folder with tars at any depth, a pattern of tars, or a range as
            ``'pile-{000000..000099}.tar'``. What exists is taken as it is.
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
        found = find_files(self.root, self.path, frozenset({TAR_SUFFIX}))
        problems = list(found.problems)
        if not found.paths:
            sentence = (
                f'no tar below {self.root} matches {self.path} (shards must be '
                f'uncompressed and end in {TAR_SUFFIX})'
            )
            raise DataError('; '.join([sentence, *problems]))
        for shard in found.paths:
            try:
                members = image_members(self.root / shard, SUFFIXES)
            except DataError as error:
                problems.append(str(error))
                continue
            keys += [member_key(shard, name) for name in members.places]
            places += members.places.values()
            problems += members.problems
            if not members.places:
                problems.append(f'the tar {self.root / shard} holds no image')
        if not keys:
            raise DataError('; '.join(problems))
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
        """The bytes of one member, or of its pixels where they were scaled.

        Args:
            key: Its name in the listing.
            place: Where its bytes begin, and how many they are, (2,).
            reader: Decodes it.
        """
        image = self.read(key, place, reader)
        return self.encoded_file(image, lambda: self._bytes(key, place))

    def _bytes(self, key: str, place: np.ndarray) -> bytes:
        with (self.root / container_of(key)).open('rb') as file:
            file.seek(int(place[0]))
            return file.read(int(place[1]))


LARGEST_PLACE = 2**62
"""Bytes; no disk has more, and places are int64."""


@dataclass(frozen=True)
class TarMembers:
    """Images of a tar.

    Attributes:
        places: Where the bytes of each begin and how many they are, by its name.
        problems: Sentences about the end of the tar, and members that are not taken.
    """

    places: dict[str, tuple[int, int]]
    problems: list[str] = field(default_factory=list)


def image_members(shard: Path, suffixes: Collection[str]) -> TarMembers:
    """Read the headers of a tar.

    A member's name up to the first dot of its last part is a sample of WebDataset,
    the rest its field. Where a sample has an image as ``7.png``, a further one as
    ``7.seg.png`` is a field that says something of it; any other name with dots, as
    ``7.2024.png``, is a name. Of two members of one name the first counts.

    Args:
        shard: The tar.
        suffixes: Endings of images, in lower case.

    Raises:
        UserError: If it is no file, or compressed.
    """
    if not shard.is_file():
        raise DataError(f'the tar {shard} cannot be read to its end: no such file')
    places: dict[str, tuple[int, int]] = {}
    left_out: dict[str, list[str]] = {}
    problems = []
    try:
        _check_plain(shard)
        for name, place, why in _members(shard, suffixes, places):
            if why:
                left_out.setdefault(why, []).append(name)
            elif place is not None:
                places[name] = place
    except DataError:
        raise
    # The parser lets nearly any error through when the bytes are hostile.
    except Exception as error:
        problems.append(
            f'the tar {shard} cannot be read to its end: {error or type(error)} '
            f'({len(places)} images found before)'
        )
    fields = [name for name in places if _is_field(name, places, suffixes)]
    for name in fields:
        del places[name]
    left_out['fields of samples that have an image'] = fields
    problems += [
        f'{len(names)} members of the tar {shard} are not taken, {why}: '
        f'{named_paths(names)}'
        for why, names in left_out.items()
        if names
    ]
    return TarMembers(places, problems)


def _check_plain(shard: Path) -> None:
    with shard.open('rb') as file:
        start = file.read(8)
    if packed := compression(start):
        raise DataError(
            f'the tar {shard} is compressed ({packed}), and members are read by '
            'their place; make a plain tar of what it holds'
        )


def _members(
    shard: Path, suffixes: Collection[str], places: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, tuple[int, int] | None, str]]:
    """Name, place and the reason to leave it out of each member with a picture.

    Args:
        shard: The tar.
        suffixes: Endings of images.
        places: Images before; links lead to them.
    """
    offset = -1
    with tarfile.open(shard, 'r:') as tar:
        for member in tar:
            name, size = member.name, member.size
            # A negative size leads back, round and round.
            if member.offset <= offset or not 0 <= size < LARGEST_PLACE:
                raise tarfile.ReadError('a header that leads nowhere')
            offset = member.offset
            if member.isdir():
                continue
            if suffix_of(name) in UNREAD_SUFFIXES:
                yield name, None, 'with endings that are not read'
            elif suffix_of(name) not in suffixes:
                continue
            elif any(is_hidden(part) for part in PurePosixPath(name).parts[:-1]):
                yield name, None, 'in hidden folders'
            elif is_hidden(PurePosixPath(name).name):
                yield name, None, 'hidden files'
            elif name in places:
                yield name, None, 'with the name of an earlier one'
            elif member.islnk() and member.linkname in places:
                yield name, places[member.linkname], ''
            elif not member.isreg() or member.issparse():
                yield name, None, 'links or no plain files'
            else:
                yield name, (member.offset_data, size), ''


def _is_field(name: str, places: Collection[str], suffixes: Collection[str]) -> bool:
    path = PurePosixPath(name)
    sample, _, rest = path.name.partition('.')
    extra = rest.rpartition('.')[0]
    if not extra or extra.replace('.', '').isdigit():
        return False
    folder = name[: len(name) - len(path.name)]
    return any(f'{folder}{sample}{suffix}' in places for suffix in suffixes)
