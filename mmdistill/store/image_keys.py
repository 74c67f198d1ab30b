"""Keys of images, and their files: below the image root, or written into the store.

A row names its image by a key. Most keys are paths below the image root. An image
inside of another file has a key with ``#``: ``videos/m3v1.mp4#000123`` is frame 123
of a video, counted from 0 in the order of display, ``shards/a-000.tar#dir/7.jpg`` is
a member of a tar. Labeling reads these in place; those that train a student are written
below ``frames/`` of the store. Names that are not UTF-8 are escaped in keys (see
`mmdistill.utils.files`).
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path, PurePosixPath

from mmdistill.utils.files import file_name

VIDEO_SUFFIXES = frozenset(
    {
        *('.3gp', '.avi', '.flv', '.m2ts', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg'),
        *('.mpg', '.mts', '.ogv', '.ts', '.webm', '.wmv'),
    }
)
"""Endings of video files, in lower case."""
TAR_SUFFIX = '.tar'
FRAMES_FOLDER = 'frames'
"""Folder of a store for images that were written out."""
SCALED = 'scaled to 8 bits'
"""Prefix of the note of an image that stock loaders would read with other pixels."""
LONGEST_NAME = 255
"""Maximum bytes of a file's name."""
LONGEST_SUFFIX = 8
"""Maximum characters of an ending that a shortened name keeps."""
LONGEST_PATH = 2000
"""Maximum bytes of a path below the store; systems allow 4096 with its folder."""

_FRAME = re.compile(rf'({"|".join(map(re.escape, VIDEO_SUFFIXES))})#\d+$', re.I)
_MEMBER = re.compile(rf'{re.escape(TAR_SUFFIX)}#.', re.I)


def is_packed(key: str) -> bool:
    """Whether an image is inside of another file, by its key.

    Args:
        key: Key of the image.
    """
    return '#' in key and bool(_FRAME.search(key) or _MEMBER.search(key))


def opens_by_key(key: str) -> bool:
    """Whether the key of an image is its path below the image root.

    It is not for images inside of other files, nor for names that had to be escaped.

    Args:
        key: The key of the image.
    """
    return not is_packed(key) and file_name(key) == key


def is_frame(key: str) -> bool:
    """Whether an image is a frame of a video, by its key.

    Args:
        key: Key of the image.
    """
    return bool(_FRAME.search(key))


def frame_key(video: str, number: int) -> str:
    """Compute the key of a frame.

    Args:
        video: Path of the video, relative to the image root.
        number: Index of the frame, from 0, in the order of display.
    """
    return f'{video}#{number:06d}'


def member_key(tar: str, member: str) -> str:
    """Compute the key of an image in a tar.

    Args:
        tar: Path of the tar, relative to the image root.
        member: Name of the image there.
    """
    return f'{tar}#{member}'


def container_of(key: str) -> str:
    """Path of the video or tar that a packed image is in, relative to the root.

    Args:
        key: Key of an image that `is_packed`.
    """
    match = _FRAME.search(key) or _MEMBER.search(key)
    assert match is not None
    return key[: key.index('#', match.start())]


def written_name(key: str) -> str:
    """Compute the path below the store's folder of an image that was written out.

    Distinct keys have distinct names, all of them below ``frames/``. Names that are too
    long for a file system are cut and end in a hash of the key.

    Args:
        key: The key of the image.
    """
    suffix = '.jpg' if _FRAME.search(key) else '' if is_packed(key) else '.png'
    parts = PurePosixPath(key.replace('%', '%25')).parts
    safe = [{'/': '%2F', '..': '%2E%2E'}.get(part, part) for part in parts]
    safe[-1] += suffix
    ending = suffix or PurePosixPath(key).suffix[:LONGEST_SUFFIX]
    if sum(len(part.encode()) + 1 for part in safe) > LONGEST_PATH:
        safe = [_hashed('', key, ending)]
    elif any(len(part.encode()) > LONGEST_NAME for part in safe):
        folders = [_cut(part, part, '') for part in safe[:-1]]
        safe = [*folders, _cut(safe[-1], key, ending)]
    return PurePosixPath(FRAMES_FOLDER, *safe).as_posix()


def image_file(store: Path, img_root: Path, key: str, written: bool = False) -> Path:
    """Compute the path of an image's file, as training reads it.

    Args:
        store: Folder of the label store.
        img_root: Folder that keys of files are relative to.
        key: The key of the image.
        written: Whether it was written out although it is a file of its own.
    """
    if written or is_packed(key):
        return store / written_name(key)
    return img_root / file_name(key)


def _cut(name: str, key: str, ending: str) -> str:
    """Shorten a name where it is too long."""
    return name if len(name.encode()) <= LONGEST_NAME else _hashed(name, key, ending)


def _hashed(name: str, key: str, ending: str) -> str:
    """Shorten a name that has too many bytes; no other name has ``%-`` in it."""
    tail = f'%-{sha256(key.encode()).hexdigest()[:32]}{ending}'
    start = name.encode()[: LONGEST_NAME - len(tail.encode())]
    return start.decode(errors='ignore') + tail
