r"""Files that a path or a pattern matches.

An existing path is taken literally, whatever characters are in it: ``clip [4k].mp4``.
Otherwise ``{000..099}``, ``{a,b}``, ``*``, ``?``, ``[ab]`` and ``**`` (any number of
folders) are expanded, and the leading folders of a pattern that exist are taken
literally: ``photos [2023]/*.jpg``.
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

MAX_NAMES = 100_000
"""Maximum number of names that braces may expand to."""
MAX_PATTERN_LENGTH = 4096
"""Maximum number of characters of a pattern; no path is longer."""

_RANGE = re.compile(r'(\d{1,18})\.\.(\d{1,18})')


@dataclass(frozen=True)
class MatchedFiles:
    """Files that a pattern matches.

    Attributes:
        paths: Unique paths, relative to the root of the pattern: in the order of
            braces, otherwise sorted.
        problems: Sentences about missing and skipped files.
    """

    paths: list[str]
    problems: list[str] = field(default_factory=list)


def find_files(root: Path, pattern: str, suffixes: Collection[str]) -> MatchedFiles:
    """Find the files that a path, a folder or a pattern matches.

    Args:
        root: Folder that the pattern is relative to.
        pattern: A file, a folder (with all that is below it) or a pattern.
        suffixes: Suffixes of the files, in lower case.

    Raises:
        UserError: If braces expand to more than `MAX_NAMES` names.
    """
    if is_file(root / pattern):
        return _with_suffix([pattern], pattern, suffixes)
    if is_folder(root / pattern):
        walk = walk_folder(root / pattern)
        files = [path for path in walk.files if suffix_of(path) in suffixes]
        paths = [PurePosixPath(pattern, path).as_posix() for path in files]
        are_images = '.jpg' in suffixes
        advice = 'one is taken where the path is its own'
        problems = passed_over(walk, root / pattern, suffixes, are_images, advice)
        return MatchedFiles(paths, problems)
    folder, rest = _existing_folder(root, '', pattern)
    names = _brace_names(rest)
    matched: dict[str, None] = {}
    missing: list[str] = []
    hidden: list[str] = []
    for name in names:
        path = _join(folder, name)
        if is_file(root / path):
            matched[path] = None
        elif has_magic(name):
            matched.update(dict.fromkeys(_matches(root, folder, name, hidden)))
        else:
            missing.append(path)
    result = _with_suffix(list(matched), pattern, suffixes)
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
            f'matches them: {named_paths(hidden)}'
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
) -> MatchedFiles:
    kept = [PurePosixPath(p).as_posix() for p in paths if suffix_of(p) in suffixes]
    skipped = [path for path in paths if suffix_of(path) not in suffixes]
    if not skipped:
        return MatchedFiles(kept)
    sentence = (
        f'{len(skipped)} files of {pattern} are not read because of their suffixes: '
        f'{named_paths(skipped)}'
    )
    return MatchedFiles(kept, [sentence])


def _brace_names(pattern: str) -> list[str]:
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise DataError(
            f'a pattern must have at most {MAX_PATTERN_LENGTH} characters, got '
            f'{len(pattern)}: {pattern[:60]}…'
        )
    try:
        names = list(islice(_expand_braces(pattern), MAX_NAMES + 1))
    except RecursionError as error:
        raise DataError(f'the braces of {pattern[:60]}… are nested too deep') from error
    if len(names) > MAX_NAMES:
        raise DataError(
            f'the pattern {pattern} expands to more than {MAX_NAMES} names; give the '
            'range of existing files, or a pattern with * instead'
        )
    return list(dict.fromkeys(names))


def _expand_braces(pattern: str) -> Iterator[str]:
    """Expand braces as a shell does, lazily."""
    for start, character in enumerate(pattern):
        if character != '{':
            continue
        choices, end = _brace_choices(pattern, start)
        if choices is not None:
            head, tail = pattern[:start], pattern[end:]
            for choice in choices:
                for rest in _expand_braces(tail):
                    yield f'{head}{choice}{rest}'
            return
    yield pattern


def _brace_choices(pattern: str, start: int) -> tuple[Iterator[str] | None, int]:
    """Choices of the brace that opens at `start`, and the offset after it."""
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
    alternatives = [pattern[first + 1 : last] for first, last in bounds]
    return (
        name for alternative in alternatives for name in _expand_braces(alternative)
    ), end + 1


def _numbers(first: str, last: str) -> Iterator[str]:
    low, high = int(first), int(last)
    step = 1 if low <= high else -1
    width = max(len(text) if text.startswith('0') else 0 for text in (first, last))
    return (str(number).zfill(width) for number in range(low, high + step, step))


def _existing_folder(root: Path, folder: str, pattern: str) -> tuple[str, str]:
    """Split a pattern into its leading folders that exist and the rest."""
    parts = list(PurePosixPath(pattern).parts)
    while len(parts) > 1 and is_folder(root / folder / parts[0]):
        folder = _join(folder, parts.pop(0))
    return folder, '/'.join(parts)


def _matches(root: Path, folder: str, pattern: str, hidden: list[str]) -> list[str]:
    """Files below a folder that a pattern with *, ? or [] matches, sorted.

    Args:
        root: Folder that `folder` is relative to.
        folder: The folder.
        pattern: The pattern.
        hidden: List to which hidden files that match are added.
    """
    folder, rest = _existing_folder(root, folder, pattern)
    components = list(PurePosixPath(rest).parts)
    return sorted(set(_glob(root, folder, components, hidden)))


def _glob(
    root: Path, folder: str, components: list[str], hidden: list[str]
) -> Iterator[str]:
    first, rest = components[0], components[1:]
    if first == '**':
        walk = walk_folder(root / folder)
        if not rest:
            hidden += [_join(folder, path) for path in walk.hidden]
            yield from (_join(folder, path) for path in walk.files)
            return
        for subfolder in walk.folders:
            yield from _glob(root, _join(folder, subfolder), rest, hidden)
        return
    for name in _names(root / folder, folder, first, hidden):
        path = _join(folder, name)
        if rest:
            yield from _glob(root, path, rest, hidden)
        elif is_file(root / path):
            yield path


def _names(full: Path, folder: str, component: str, hidden: list[str]) -> list[str]:
    """Names in a folder that one component of a pattern matches."""
    if not has_magic(component):
        return [component]
    try:
        names = sorted(os.listdir(full))  # noqa: PTH208 (names, a million at once)
    except OSError:
        return []
    matching = [name for name in names if fnmatchcase(name, component)]
    if component.startswith('.'):
        return matching
    hidden += [_join(folder, name) for name in matching if is_hidden(name)]
    return [name for name in matching if not is_hidden(name)]


def _join(folder: str, name: str) -> str:
    return PurePosixPath(folder, name).as_posix() if folder else name
