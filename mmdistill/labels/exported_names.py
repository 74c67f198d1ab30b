"""Names of exported images below one folder, whatever they are part of.

Frames, members of tars and files of several folders come to stand side by side. A name
is the path of its image with what other programs stumble over replaced: ``#``, which
ends an address, and folders above the root. ``film.mp4#000010`` is
``film.mp4/000010.png``, ``a.tar#dir/7.jpg`` is ``a.tar/dir/7.jpg``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import PurePosixPath

from mmdistill.labels.image_files import container_of, is_frame, is_packed

LONGEST_PART = 120
"""Bytes of a folder's or file's name; file systems take 255."""
LONGEST_NAME = 600
"""Bytes of a whole name below the folder."""
HASH_DIGITS = 12

_HOSTILE = re.compile('[\x00-\x1f\x7f#?%\\\\\ud800-\udfff]')


def exported_names(keys: Sequence[str]) -> list[str]:
    """Name some images below one folder.

    No two names are equal, not even where upper and lower case are, and none is the
    folder of another. A name hangs on the set of images alone, not on its order.

    Args:
        keys: Keys of the images, each once.

    Returns:
        Paths relative to the folder, with forward slashes, in the order of the keys.

    >>> exported_names(['film.mp4#000010', '../a.jpg'])
    ['film.mp4/000010.png', '__/a.jpg']
    """
    names = [_readable(key) for key in keys]
    folded = [name.casefold() for name in names]
    folders = {str(p) for name in set(folded) for p in PurePosixPath(name).parents}
    # A file beside a folder of its own name would be one of two that need it.
    counts = Counter(folded)
    files = set(folded)
    return [
        _marked(name, key)
        if counts[own] > 1
        or own in folders
        or any(str(parent) in files for parent in PurePosixPath(own).parents)
        else name
        for name, own, key in zip(names, folded, keys, strict=True)
    ]


def _readable(key: str) -> str:
    path = key
    if is_packed(key):
        container = container_of(key)
        path = f'{container}/{key[len(container) + 1 :]}'
    suffix = '.png' if is_frame(key) else ''
    parts = [part for part in PurePosixPath(path).parts if part != '/']
    shown = [_HOSTILE.sub('_', '__' if part == '..' else part) for part in parts]
    name = '/'.join(shown) + suffix
    if len(name.encode()) > LONGEST_NAME:
        return _marked(shown[-1] + suffix, key)
    too_long = any(len(part.encode()) > LONGEST_PART for part in name.split('/'))
    return _marked(name, key) if too_long or not shown else name


def _marked(name: str, key: str) -> str:
    """A name that no other key has: with a hash of the key, and short."""
    *folders, last = name.split('/')
    path = PurePosixPath(last or 'image')
    suffix = path.suffix if len(path.suffix.encode()) < HASH_DIGITS else ''
    digits = sha256(key.encode(errors='surrogatepass')).hexdigest()[:HASH_DIGITS]
    stem = _cut(last.removesuffix(suffix), LONGEST_PART - HASH_DIGITS - 12)
    return '/'.join([*map(_cut, folders), f'{stem}-{digits}{suffix}'])


def _cut(text: str, most: int = LONGEST_PART) -> str:
    return text.encode()[:most].decode(errors='ignore')
