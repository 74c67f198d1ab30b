"""Hashes of image files, by their bytes and by their content.

Two images count as duplicates if their bytes are equal, or if their perceptual hashes
differ in at most 6 of 256 bits: another size, another compression, a neighboring frame.
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
from mmdistill.errors import DataError
from mmdistill.utils.files import file_sha256, read_json, spelled_name
from mmdistill.utils.logging import log_progress

DISTANCE = 6
"""Maximum Hamming distance of duplicates, of 256 bits."""
SHA256 = 32
"""Bytes of the file hash at the start of an image hash, zeros without a file."""


def file_hashes(files: Sequence[Path], known: dict[str, str]) -> dict[Path, np.ndarray]:
    """Hash the files that can be read; a hash is (64,), uint8.

    Args:
        files: Image files.
        known: Cached hashes of unchanged files, by `read_known`; new ones are added.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda file: _cached_hash(file, known), files)
        action = 'images are hashed'
        pairs = zip(files, log_progress(results, len(files), action), strict=True)
        return {
            file: image_hash for file, image_hash in pairs if image_hash is not None
        }


def picture_hashes(picture: Image.Image) -> np.ndarray:
    """Hash an image without a file by its content only, (64,), uint8.

    Args:
        picture: The image.
    """
    return np.concatenate([np.zeros(SHA256, dtype=np.uint8), picture_hash(picture)])


def find_duplicates(
    mine: Sequence[np.ndarray | None], theirs: Mapping[Path, np.ndarray]
) -> list[tuple[int, Path]]:
    """Find images with a duplicate among some files.

    Args:
        mine: Hashes of the images, (64,), uint8; None for one that cannot be read.
        theirs: Hashes by file, (64,), uint8.

    Returns:
        Numbers of the images with duplicates, and the first duplicate file of each.
    """
    readable_hashes = {
        number: image_hash
        for number, image_hash in enumerate(mine)
        if image_hash is not None
    }
    if not readable_hashes or not theirs:
        return []
    numbers = list(readable_hashes)
    left, right = np.stack([*readable_hashes.values()]), np.stack([*theirs.values()])
    pairs = near_pairs(left[:, SHA256:], right[:, SHA256:], DISTANCE)
    files = list(theirs)
    duplicates = {numbers[i]: files[j] for i, j in pairs[::-1].tolist()}
    by_bytes = {
        row[:SHA256].tobytes(): file for row, file in zip(right, files, strict=True)
    }
    for number, row in zip(numbers, left, strict=True):
        if row[:SHA256].tobytes() in by_bytes:
            duplicates[number] = by_bytes[row[:SHA256].tobytes()]
    return sorted(duplicates.items())


def read_known(cache: Path | None) -> dict[str, str]:
    """Read the hashes cached by an earlier run; empty if the file is unusable.

    Args:
        cache: A json, or None.
    """
    if cache is None or not cache.is_file():
        return {}
    try:
        return dict(read_json(cache, 'the cache of hashes'))
    except (DataError, TypeError, ValueError):
        return {}


def _cached_hash(file: Path, known: dict[str, str]) -> np.ndarray | None:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            # A device or a pipe may never end.
            return None
        path = spelled_name(str(file))
        name = f'{path}|{status.st_size}|{status.st_mtime_ns}{_version(file)}'
        if name not in known:
            known[name] = _file_hash(file).tobytes().hex()
        return np.frombuffer(bytes.fromhex(known[name]), dtype=np.uint8)
    # Pillow's parsers let nearly any error through when the bytes are hostile.
    except Exception:
        return None


def _file_hash(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        # JPEG is decoded no larger than the hash needs.
        image.draft('L', (8 * SIDE, 8 * SIDE))
        # Pillow clips values above 255: such images would all be equal.
        is_deep = image.mode.startswith(('I', 'F'))
        content_hash = picture_hash(_scaled(file) if is_deep else image)
    digest = bytes.fromhex(file_sha256(file))
    return np.concatenate([np.frombuffer(digest, dtype=np.uint8), content_hash])


def _scaled(file: Path) -> Image.Image:
    return Image.fromarray(ImageReader().read(file).pixels[..., ::-1])


def _version(file: Path) -> str:
    """Version of the hash: hashes of 16-bit images changed once; JPEG has 8 bits."""
    return '' if file.suffix.lower() in ('.jpg', '.jpeg') else '|2'
