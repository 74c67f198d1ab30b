"""Which members of a tar are images, and where their bytes are."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mmdistill.datasets.folder_walk import (
    UNREAD_SUFFIXES,
    named_paths,
    suffix_of,
)
from mmdistill.errors import UserError
from mmdistill.labels.file_names import is_hidden

COMPRESSIONS = {
    b'\x1f\x8b': 'gzip',
    b'BZh': 'bzip2',
    b'\xfd7zXZ\x00': 'xz',
    b'\x28\xb5\x2f\xfd': 'zstandard',
    b'PK\x03\x04': 'zip',
    b'7z\xbc\xaf\x27\x1c': '7-zip',
}
"""First bytes of files whose members have no place of their own."""
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
        raise UserError(f'the tar {shard} can not be read to its end: no such file')
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
    except UserError:
        raise
    # The parser lets nearly any error through when the bytes are hostile.
    except Exception as error:
        problems.append(
            f'the tar {shard} can not be read to its end: {error or type(error)} '
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
    for mark, name in COMPRESSIONS.items():
        if start.startswith(mark):
            raise UserError(
                f'the tar {shard} is compressed ({name}), and members are read by '
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
