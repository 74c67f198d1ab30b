r"""Files that a path or a pattern names.

A path that exists is taken as it is, whatever characters are in it: ``clip [4k].mp4``.
Only where there is none, ``{000..099}``, ``{a,b}``, ``*``, ``?``, ``[ab]`` and ``**``
(any number of folders) have their meaning, and of a pattern its first folders that
exist are taken as they are: ``photos [2023]/*.jpg``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import islice
from pathlib import Path, PurePosixPath

from mmdistill.datasets.sources.folder_walk import (
    ARCHIVE_SUFFIXES,
    UNPACK,
    is_file,
    is_folder,
    named_paths,
    passed_over,
    suffix_of,
    walk_folder,
)
from mmdistill.errors import DataError
from mmdistill.utils.files import is_hidden

MOST_NAMES = 100_000
"""Names that braces may stand for."""
LONGEST_PATTERN = 4096
"""Characters of a pattern; no path is longer."""

_RANGE = re.compile(r'(\d{1,18})\.\.(\d{1,18})')


@dataclass(frozen=True)
class FoundFiles:
    """Files of a pattern.

    Attributes:
        paths: Their paths, relative as the pattern is, each once: in the order of
            braces, and by path what other patterns match.
        problems: Sentences about what is missing or passed over.
    """

    paths: list[str]
    problems: list[str] = field(default_factory=list)


def find_files(root: Path, pattern: str, suffixes: Collection[str]) -> FoundFiles:
    """Find the files that a path, a folder or a pattern names.

    Args:
        root: Folder that the pattern is relative to.
        pattern: A file, a folder (with all that is below it) or a pattern.
        suffixes: Endings that count, in lower case.

    Raises:
        UserError: If braces stand for more names than anyone has files.
    """
    if is_file(root / pattern):
        return _with_suffix([pattern], pattern, suffixes)
    if is_folder(root / pattern):
        below = walk_folder(root / pattern)
        files = [path for path in below.files if suffix_of(path) in suffixes]
        paths = [PurePosixPath(pattern, path).as_posix() for path in files]
        images = '.jpg' in suffixes
        way = 'one is taken where the path is its own'
        told = passed_over(below, root / pattern, suffixes, images, way)
        return FoundFiles(paths, told)
    folder, rest = _existing_folder(root, '', pattern)
    names = _brace_names(rest)
    found: dict[str, None] = {}
    missing: list[str] = []
    hidden: list[str] = []
    for name in names:
        path = _join(folder, name)
        if is_file(root / path):
            found[path] = None
        elif has_magic(name):
            found.update(dict.fromkeys(_matches(root, folder, name, hidden)))
        else:
            missing.append(path)
    result = _with_suffix(list(found), pattern, suffixes)
    if missing and len(names) > 1:
        result.problems.append(
            f'{len(missing)} of the {len(names)} files that {pattern} names are '
            f'missing below {root}: {named_paths(missing)}'
        )
    packed = _packed_beside(root, folder, names, suffixes)
    if packed:
        result.problems.append(
            f'{len(packed)} files beside those of {pattern} are not read, for their '
            f'endings: {named_paths(packed)}; {UNPACK}'
        )
    hidden = [path for path in hidden if suffix_of(path) in suffixes]
    if hidden:
        result.problems.append(
            f'{len(hidden)} hidden files are not taken, though {pattern} '
            f'fits them: {named_paths(hidden)}'
        )
    return result


def _packed_beside(
    root: Path, folder: str, names: Collection[str], suffixes: Collection[str]
) -> list[str]:
    """Archives that a pattern would match if they ended as what it asks for."""
    packed: set[str] = set()
    for name in names:
        if has_magic(name) and suffix_of(name) in suffixes:
            stem = name[: -len(suffix_of(name))]
            packed.update(_matches(root, folder, f'{stem}.*', []))
    return sorted(path for path in packed if suffix_of(path) in ARCHIVE_SUFFIXES)


def _with_suffix(
    paths: list[str], pattern: str, suffixes: Collection[str]
) -> FoundFiles:
    kept = [PurePosixPath(p).as_posix() for p in paths if suffix_of(p) in suffixes]
    others = [path for path in paths if suffix_of(path) not in suffixes]
    if not others:
        return FoundFiles(kept)
    sentence = (
        f'{len(others)} files of {pattern} are not read, for their endings: '
        f'{named_paths(others)}'
    )
    return FoundFiles(kept, [sentence])


def _brace_names(pattern: str) -> list[str]:
    if len(pattern) > LONGEST_PATTERN:
        raise DataError(
            f'a pattern must have at most {LONGEST_PATTERN} characters, got '
            f'{len(pattern)}: {pattern[:60]}…'
        )
    try:
        names = list(islice(_options(pattern), MOST_NAMES + 1))
    except RecursionError as error:
        raise DataError(f'the braces of {pattern[:60]}… are nested too deep') from error
    if len(names) > MOST_NAMES:
        raise DataError(
            f'the pattern {pattern} stands for more than {MOST_NAMES} names; give the '
            'range that there is, or a pattern with * instead'
        )
    return list(dict.fromkeys(names))


def _options(pattern: str) -> Iterator[str]:
    """The names that braces stand for, as a shell expands them, one at a time."""
    for start, character in enumerate(pattern):
        if character != '{':
            continue
        choices, end = _choices(pattern, start)
        if choices is not None:
            head, tail = pattern[:start], pattern[end:]
            for choice in choices:
                for rest in _options(tail):
                    yield f'{head}{choice}{rest}'
            return
    yield pattern


def _choices(pattern: str, start: int) -> tuple[Iterator[str] | None, int]:
    """What the brace that opens at `start` stands for, and where it ends."""
    depth, commas = 0, [start]
    for end in range(start, len(pattern)):
        depth += (pattern[end] == '{') - (pattern[end] == '}')
        if pattern[end] == ',' and depth == 1:
            commas.append(end)
        if depth == 0:
            break
    else:
        return None, 0
    if limits := _RANGE.fullmatch(pattern, start + 1, end):
        return _numbers(*limits.groups()), end + 1
    if len(commas) == 1:
        return None, 0
    bounds = zip(commas, [*commas[1:], end], strict=True)
    parts = [pattern[first + 1 : last] for first, last in bounds]
    return (name for part in parts for name in _options(part)), end + 1


def _numbers(first: str, last: str) -> Iterator[str]:
    low, high = int(first), int(last)
    step = 1 if low <= high else -1
    width = max(len(text) if text.startswith('0') else 0 for text in (first, last))
    return (str(number).zfill(width) for number in range(low, high + step, step))


def _existing_folder(root: Path, folder: str, pattern: str) -> tuple[str, str]:
    """The first folders of a pattern that exist below a folder, and the rest of it."""
    parts = list(PurePosixPath(pattern).parts)
    while len(parts) > 1 and is_folder(root / folder / parts[0]):
        folder = _join(folder, parts.pop(0))
    return folder, '/'.join(parts)


def _matches(root: Path, folder: str, pattern: str, hidden: list[str]) -> list[str]:
    """Files below a folder that a pattern with *, ? or [] matches, by path.

    Args:
        root: Folder that `folder` is relative to.
        folder: The folder.
        pattern: The pattern.
        hidden: Grows by what fits the pattern but is hidden.
    """
    folder, rest = _existing_folder(root, folder, pattern)
    parts = list(PurePosixPath(rest).parts)
    return sorted(set(_glob(root, folder, parts, hidden)))


def _glob(
    root: Path, folder: str, parts: list[str], hidden: list[str]
) -> Iterator[str]:
    first, rest = parts[0], parts[1:]
    if first == '**':
        below = walk_folder(root / folder)
        if not rest:
            hidden += [_join(folder, path) for path in below.hidden]
            yield from (_join(folder, path) for path in below.files)
            return
        for sub in below.folders:
            yield from _glob(root, _join(folder, sub), rest, hidden)
        return
    for name in _names(root / folder, folder, first, hidden):
        path = _join(folder, name)
        if rest:
            yield from _glob(root, path, rest, hidden)
        elif is_file(root / path):
            yield path


def _names(full: Path, folder: str, part: str, hidden: list[str]) -> list[str]:
    """Names in a folder that one part of a pattern matches."""
    if not has_magic(part):
        return [part]
    try:
        names = sorted(os.listdir(full))  # noqa: PTH208 (names, a million at once)
    except OSError:
        return []
    fitting = [name for name in names if fnmatchcase(name, part)]
    if part.startswith('.'):
        return fitting
    hidden += [_join(folder, name) for name in fitting if is_hidden(name)]
    return [name for name in fitting if not is_hidden(name)]


def _join(folder: str, name: str) -> str:
    return PurePosixPath(folder, name).as_posix() if folder else name
