"""Prints of image files: the hash of their bytes and of what they show.

Two images count as the same when their bytes are, or when the perceptual hashes differ
in at most 6 of 256 bits: another size, another compression, a frame of the same moment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mmdistill.datasets.picture_hash import SIDE, near_pairs, picture_hash
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import UserError
from mmdistill.utils.files import file_sha256, read_json, spelled_name
from mmdistill.utils.logging import log_progress

DISTANCE = 6
"""Bits of 256 up to which two pictures count as the same."""
SHA256 = 32
"""Bytes of a print that are of the file, zeros where there is none."""


def file_hashes(files: Sequence[Path], known: dict[str, str]) -> dict[Path, np.ndarray]:
    """Prints of the files that can be read, (64,), uint8.

    Args:
        files: Image files.
        known: Prints of files that are as they were, by `read_known`; it grows by the
            new ones.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda file: _known_print(file, known), files)
        what = 'images are hashed'
        pairs = zip(files, log_progress(results, len(files), what), strict=True)
        return {file: found for file, found in pairs if found is not None}


def picture_hashes(picture: Image.Image) -> np.ndarray:
    """Print of an image that is no file, (64,), uint8: no bytes are compared.

    Args:
        picture: The image.
    """
    return np.concatenate([np.zeros(SHA256, dtype=np.uint8), picture_hash(picture)])


def find_duplicates(
    mine: Sequence[np.ndarray | None], theirs: Mapping[Path, np.ndarray]
) -> list[tuple[int, Path]]:
    """Numbers of my images and the first file of theirs that each one equals.

    Args:
        mine: Prints; None of an image that cannot be read, which equals nothing.
        theirs: Prints by file.
    """
    seen = {number: each for number, each in enumerate(mine) if each is not None}
    if not seen or not theirs:
        return []
    readable = list(seen)
    left, right = np.stack([*seen.values()]), np.stack([*theirs.values()])
    pairs = near_pairs(left[:, SHA256:], right[:, SHA256:], DISTANCE)
    files = list(theirs)
    found = {readable[i]: files[j] for i, j in pairs[::-1].tolist()}
    by_bytes = {
        row[:SHA256].tobytes(): file for row, file in zip(right, files, strict=True)
    }
    for number, row in zip(readable, left, strict=True):
        if row[:SHA256].tobytes() in by_bytes:
            found[number] = by_bytes[row[:SHA256].tobytes()]
    return sorted(found.items())


def read_known(cache: Path | None) -> dict[str, str]:
    """Prints that a run before wrote down; none where the file is unusable.

    Args:
        cache: A json, or None.
    """
    if cache is None or not cache.is_file():
        return {}
    try:
        return dict(read_json(cache, 'the cache of hashes'))
    except (UserError, TypeError, ValueError):
        return {}


def _known_print(file: Path, known: dict[str, str]) -> np.ndarray | None:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            # What is no file has no end, or none writes to it.
            return None
        path = spelled_name(str(file))
        name = f'{path}|{status.st_size}|{status.st_mtime_ns}{_version(file)}'
        if name not in known:
            known[name] = _file_print(file).tobytes().hex()
        return np.frombuffer(bytes.fromhex(known[name]), dtype=np.uint8)
    # Pillow's parsers let nearly any error through when the bytes are hostile.
    except Exception:
        return None


def _file_print(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        # JPEG is decoded no larger than the hash looks at it.
        image.draft('L', (8 * SIDE, 8 * SIDE))
        # Pillow makes white of all that is above 255: such images would all be equal.
        deep = image.mode.startswith(('I', 'F'))
        seen = picture_hash(_scaled(file) if deep else image)
    digest = bytes.fromhex(file_sha256(file))
    return np.concatenate([np.frombuffer(digest, dtype=np.uint8), seen])


def _scaled(file: Path) -> Image.Image:
    return Image.fromarray(ImageReader().read(file).pixels[..., ::-1])


def _version(file: Path) -> str:
    """Prints of images of 16 bits were others once; JPEG has 8."""
    return '' if file.suffix.lower() in ('.jpg', '.jpeg') else '|2'
