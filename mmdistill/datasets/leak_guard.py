"""Unlabelled images that are also in the validation set must not train the student."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from mmdistill.datasets.image_list import images_of_coco
from mmdistill.datasets.image_reader import ImageReader
from mmdistill.datasets.picture_hash import BYTES, SIDE, picture_hash
from mmdistill.datasets.source_list import SourceList
from mmdistill.errors import UserError
from mmdistill.functional.hamming import near_pairs
from mmdistill.labels.files import read_json, write_json
from mmdistill.labels.image_files import is_packed
from mmdistill.progress import told

DISTANCE = 6
"""Bits of 256 up to which two pictures count as the same."""
SHA256 = 32
NAMED = 10
"""Images that a warning names."""


def leaked_images(
    images: SourceList,
    root: Path,
    others: Mapping[str, Sequence[Path]],
    cache: Path | None = None,
) -> dict[str, list[tuple[int, Path]]]:
    """Unlabelled images that are in other sets: same bytes, or the same picture.

    The same picture is one whose perceptual hash differs in at most 6 of 256 bits:
    another size, another compression, a frame of the same moment. Images that can not
    be read are in no set.

    Args:
        images: The unlabelled images.
        root: Folder that their keys are relative to.
        others: Files of the other sets, by the sets' names.
        cache: A json that keeps the hashes of files that stay as they are.

    Returns:
        For each set the numbers of unlabelled images and the file each one equals.
    """
    known = _read_cache(cache)
    reader = ImageReader()
    keys = images.keys.to_pylist()
    files = [None if is_packed(key) else root / key for key in keys]
    prints = _all_prints([file for file in files if file is not None], known)
    mine = np.zeros((len(keys), SHA256 + BYTES), dtype=np.uint8)
    readable = np.zeros(len(keys), dtype=bool)
    what = 'unlabelled images are compared with labelled ones'
    for number, file in enumerate(told(files, len(files), what)):
        found = prints.get(file) if file else _packed_print(images, number, reader)
        if found is not None:
            mine[number], readable[number] = found, True
    leaks = {}
    for name, theirs in others.items():
        leaks[name] = _same(mine, readable, _all_prints(theirs, known))
    if cache is not None:
        write_json(cache, known)
    return leaks


def described_leaks(name: str, leaks: Sequence[tuple[str, Path]], kept: bool) -> str:
    """A sentence that names images that are in two sets.

    Args:
        name: Name of the other set.
        leaks: Keys of unlabelled images and the file each one equals.
        kept: Whether they are labelled all the same.
    """
    shown = ', '.join(f'{key} ({file})' for key, file in leaks[:NAMED])
    more = f' and {len(leaks) - NAMED} others' if len(leaks) > NAMED else ''
    fate = 'are labelled too' if kept else 'are left out'
    return f'{len(leaks)} unlabelled images are in the {name} set and {fate}: ' + (
        shown + more
    )


def without_leaks(
    images: SourceList, root: Path, guard: Mapping[str, Any]
) -> np.ndarray:
    """Report overlap with other sets; leave out what is in the validation set.

    Args:
        images: The unlabelled images.
        root: Folder that their keys are relative to.
        guard: `val` and `labeled`, the COCO jsons of the two sets, a dict with
            `ann_file` and `img_root` each; `cache`, a json for hashes.

    Returns:
        Numbers of the images that stay, ascending.

    Raises:
        UserError: If none stays.
    """
    others = {
        name: [file for entry in guard.get(name, []) for file in _files_of(**entry)]
        for name in ('val', 'labeled')
    }
    cache = Path(guard['cache']) if guard.get('cache') else None
    leaks = leaked_images(images, root, others, cache)
    for name, found in leaks.items():
        if found:
            pairs = [(images.keys[number].as_py(), file) for number, file in found]
            sentence = described_leaks(name, pairs, kept=name != 'val')
            print_log(sentence, logger='current', level=logging.WARNING)
    left_out = [number for number, _ in leaks['val']]
    stay = np.setdiff1d(np.arange(len(images)), left_out)
    if len(stay) == 0:
        raise UserError(
            f'all {len(images)} unlabelled images are in the validation set; label '
            'other ones, or set distill.leak_guard=False'
        )
    return stay


def _files_of(ann_file: str, img_root: str) -> list[Path]:
    """The images of a set; one that can not be read is told and guards nothing."""
    try:
        paths = images_of_coco(Path(ann_file)).paths
    except UserError as error:
        print_log(
            f'the leak guard does without a set: {error}',
            logger='current',
            level=logging.WARNING,
        )
        return []
    return [Path(img_root, path) for path in paths]


def _same(
    mine: np.ndarray, readable: np.ndarray, theirs: Mapping[Path, np.ndarray]
) -> list[tuple[int, Path]]:
    """Numbers of my images and the first file of theirs that each one equals."""
    if not theirs:
        return []
    files = list(theirs)
    other = np.stack([theirs[file] for file in files])
    by_bytes = {
        row[:SHA256].tobytes(): file for row, file in zip(other, files, strict=True)
    }
    found = {
        int(i): files[j]
        for i, j in near_pairs(mine[:, SHA256:], other[:, SHA256:], DISTANCE)[::-1]
    }
    for number, row in enumerate(mine):
        if row[:SHA256].tobytes() in by_bytes:
            found[number] = by_bytes[row[:SHA256].tobytes()]
    return [(number, found[number]) for number in sorted(found) if readable[number]]


def _all_prints(files: Sequence[Path], known: dict[str, str]) -> dict[Path, np.ndarray]:
    """Both hashes of each file that can be read; `known` grows by new ones."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda file: _known_print(file, known), files)
        what = 'images are hashed'
        pairs = zip(files, told(results, len(files), what), strict=True)
        return {file: found for file, found in pairs if found is not None}


def _known_print(file: Path, known: dict[str, str]) -> np.ndarray | None:
    try:
        status = file.stat()
        name = f'{file}|{status.st_size}|{status.st_mtime_ns}'
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
        seen = picture_hash(image)
    digest = hashlib.sha256(file.read_bytes()).digest()
    return np.concatenate([np.frombuffer(digest, dtype=np.uint8), seen])


def _packed_print(
    images: SourceList, number: int, reader: ImageReader
) -> np.ndarray | None:
    """Hashes of a frame or a member; of a frame, bytes are not compared."""
    image = images.read(number, reader)
    if image.reason:
        return None
    seen = picture_hash(Image.fromarray(image.pixels[..., ::-1]))
    return np.concatenate([np.zeros(SHA256, dtype=np.uint8), seen])


def _read_cache(cache: Path | None) -> dict[str, str]:
    if cache is None or not cache.is_file():
        return {}
    try:
        return dict(read_json(cache, 'the cache of hashes'))
    except (UserError, TypeError, ValueError):
        return {}
