"""Files below a folder, each folder once, and those that nobody meant."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mmdistill.utils.files import is_hidden, spelled_name

NAMED = 3
"""Files that a sentence names."""


@dataclass(frozen=True)
class FolderFiles:
    """Files below a folder, as paths relative to it with forward slashes, sorted.

    Attributes:
        files: Those that count.
        folders: The folders that they are looked for in, the first one empty.
        hidden: Hidden files, and what is in hidden folders.
        unreadable: Folders that the system did not let read.
    """

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def walk_folder(root: Path, hidden: bool = False) -> FolderFiles:
    """Find all files below a folder.

    Links to folders are followed, but no folder is entered twice, so that loops of
    links end.

    Args:
        root: The folder.
        hidden: Whether hidden files count like the others.
    """
    shown = FolderFiles()
    seen: set[str] = set()
    left = _walk(root, [''], shown, seen, hidden)
    # What is hidden comes last: a folder that a visible link leads to is visible.
    kept_back = FolderFiles()
    _walk(root, left, kept_back, seen, True)
    return FolderFiles(
        sorted(shown.files),
        shown.folders,
        sorted(kept_back.files),
        sorted([*shown.unreadable, *kept_back.unreadable]),
    )


def is_file(path: Path) -> bool:
    """Whether a path leads to a regular file, whatever the path is.

    Args:
        path: The path; one that the system does not take leads to none.
    """
    try:
        return path.is_file()
    except OSError:
        # A name that is too long, a folder that cannot be entered.
        return False


def is_folder(path: Path) -> bool:
    """Whether a path leads to a folder, whatever the path is.

    Args:
        path: The path; one that the system does not take leads to none.
    """
    try:
        return path.is_dir()
    except OSError:
        return False


def suffix_of(path: str) -> str:
    """The ending of a file's name with its dot, in lower case.

    Args:
        path: Path of the file, with forward slashes.
    """
    return PurePosixPath(path).suffix.lower()


def passed_over(
    listing: FolderFiles,
    folder: Path,
    suffixes: Collection[str],
    images: bool = True,
    way: str = 'hidden=True takes them',
) -> list[str]:
    """Sentences that count what of a folder is not taken, for the log.

    Args:
        listing: The files below the folder.
        folder: The folder.
        suffixes: Endings of the files that are taken.
        images: Whether these are images, beside which other pictures are missed;
            beside videos and tars archives are.
        way: How hidden files are taken.
    """
    sentences = []
    hidden = [path for path in listing.hidden if suffix_of(path) in suffixes]
    if hidden:
        sentences.append(
            f'{len(hidden)} hidden files of {folder} are not taken ({way}): '
            f'{named_paths(hidden)}'
        )
    missed = (UNREAD_SUFFIXES if images else ARCHIVE_SUFFIXES).difference(suffixes)
    others = Counter(suffix_of(path) for path in listing.files)
    unread = {suffix: others[suffix] for suffix in sorted(missed & others.keys())}
    if unread:
        listed = ', '.join(f'{count} {suffix}' for suffix, count in unread.items())
        ways = []
        if unread.keys() - ARCHIVE_SUFFIXES:
            ways.append(
                'MMPose does not read such files, so convert them (JPEG, PNG), and '
                'name videos and tars in sources of their own'
            )
        if unread.keys() & ARCHIVE_SUFFIXES:
            ways.append(UNPACK)
        sentences.append(
            f'{sum(unread.values())} files of {folder} are not read'
            f'{" as images" if images else ""}, for their endings: {listed}; '
            f'{"; ".join(ways)}'
        )
    if listing.unreadable:
        sentences.append(
            f'{len(listing.unreadable)} folders of {folder} cannot be read: '
            f'{named_paths(listing.unreadable)}'
        )
    return [spelled_name(sentence) for sentence in sentences]


def named_paths(paths: Sequence[str]) -> str:
    """The first few paths, for a sentence.

    Args:
        paths: The paths.
    """
    return ', '.join(paths[:NAMED]) + (', …' if len(paths) > NAMED else '')


ARCHIVE_SUFFIXES = frozenset(
    {
        *('.zip', '.tgz', '.gz', '.tbz', '.tbz2', '.bz2', '.txz', '.xz', '.tzst'),
        *('.zst', '.7z', '.rar'),
    }
)
"""Endings of files whose members have no path of their own."""
UNPACK = 'unpack what is compressed, or make plain tars of it'

UNREAD_SUFFIXES = ARCHIVE_SUFFIXES | {
    *('.gif', '.heic', '.heif', '.avif', '.jxl', '.jxr', '.psd', '.ico', '.tga'),
    *('.exr', '.hdr', '.pfm', '.dcm', '.dng', '.nef', '.cr2', '.cr3', '.arw'),
    *('.orf', '.rw2', '.raf', '.svg', '.pcx', '.sgi', '.pdf'),
    *('.tar', '.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v', '.mpg'),
    *('.mpeg', '.wmv', '.3gp', '.flv', '.mts', '.m2ts', '.ogv'),
}
"""Endings of files with pictures that are not read; others are none of ours."""


def _walk(
    root: Path,
    folders: Sequence[str],
    listing: FolderFiles,
    seen: set[str],
    hidden: bool,
) -> list[str]:
    """Collect the files of folders and their subfolders.

    Returns:
        What is hidden and was left out.
    """
    left, stack = [], list(reversed(folders))
    while stack:
        folder = stack.pop()
        real = os.path.realpath(root / folder)
        if real in seen:
            continue
        try:
            entries = sorted(os.scandir(real), key=lambda entry: entry.name)
        except (NotADirectoryError, FileNotFoundError):
            listing.files.append(folder)
            continue
        except OSError:
            listing.unreadable.append(folder)
            continue
        seen.add(real)
        listing.folders.append(folder)
        subfolders = []
        for entry in entries:
            path = f'{folder}/{entry.name}' if folder else entry.name
            if not hidden and is_hidden(entry.name):
                left.append(path)
            elif _is_folder(entry):
                subfolders.append(path)
            else:
                listing.files.append(path)
        # The order of folders decides under which name a linked one is listed.
        stack += reversed(subfolders)
    return left


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads nowhere, or to itself.
        return False
