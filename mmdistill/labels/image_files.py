"""Where the image of a row is a file: beside the others, or written into the store.

A row names its image by a key. Most keys are paths below the image root. An image
inside of another file has a key with ``#``: ``videos/m3v1.mp4#000123`` is frame 123
of a video, counted from 0 in the order of display, ``shards/a-000.tar#dir/7.jpg`` is
a member of a tar. Labelling reads these where they are; those that train are written
below ``frames/`` of the store.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

VIDEO_SUFFIXES = frozenset(
    {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv'}
)
TAR_SUFFIX = '.tar'
FRAMES_FOLDER = 'frames'

_FRAME = re.compile(rf'({"|".join(map(re.escape, VIDEO_SUFFIXES))})#\d+$', re.I)
_MEMBER = re.compile(rf'{re.escape(TAR_SUFFIX)}#.', re.I)


def is_packed(key: str) -> bool:
    """Whether an image is inside of another file, by its key."""
    return '#' in key and bool(_FRAME.search(key) or _MEMBER.search(key))


def frame_key(video: str, number: int) -> str:
    """The key of a frame.

    Args:
        video: Path of the video, relative to the image root.
        number: Number of the frame, from 0, in the order of display.
    """
    return f'{video}#{number:06d}'


def member_key(tar: str, member: str) -> str:
    """The key of an image in a tar.

    Args:
        tar: Path of the tar, relative to the image root.
        member: Name of the image there.
    """
    return f'{tar}#{member}'


def container_of(key: str) -> str:
    """Path of the video or tar that a packed image is in, relative to the root."""
    match = _FRAME.search(key) or _MEMBER.search(key)
    assert match is not None
    return key[: key.index('#', match.start())]


def written_name(key: str) -> str:
    """Path below the store's folder of a packed image that was written out.

    Distinct keys have distinct names, all of them below ``frames/``.

    Args:
        key: The key of the image.
    """
    parts = PurePosixPath(key.replace('%', '%25')).parts
    safe = [{'/': '%2F', '..': '%2E%2E'}.get(part, part) for part in parts]
    suffix = '.jpg' if _FRAME.search(key) else ''
    return PurePosixPath(FRAMES_FOLDER, *safe).as_posix() + suffix


def image_file(store: Path, img_root: Path, key: str) -> Path:
    """The file of an image, as training reads it.

    Args:
        store: Folder of the label store.
        img_root: Folder that keys of files are relative to.
        key: The key of the image.
    """
    return store / written_name(key) if is_packed(key) else img_root / key
