"""Leakage between sets: unlabeled images that also belong to a labeled or val set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmdistill.datasets.image_hashes import (
    file_hashes,
    find_duplicates,
    picture_hashes,
    read_known,
)
from mmdistill.datasets.sources.image_list import annotated_images
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.source_list import SourceList
from mmdistill.errors import DataError
from mmdistill.store.image_keys import is_packed
from mmdistill.utils.files import file_name, spelled_name, write_json
from mmdistill.utils.logging import log_progress, warn

MAX_LISTED = 10
"""Maximum number of images listed in a warning."""
ACTIONS = {'val': 'are left out', 'labeled': 'are labeled too'}


def leaked_images(
    images: SourceList,
    root: Path,
    others: Mapping[str, Sequence[Path]],
    cache: Path | None = None,
    keep_hashes: bool = True,
) -> dict[str, list[tuple[int, Path]]]:
    """Find unlabeled images with a duplicate, by bytes or content, in other sets.

    Images that cannot be read have no duplicates, and are counted in the log.

    Args:
        images: The unlabeled images.
        root: Folder that their keys are relative to.
        others: Files of the other sets, by name of the set.
        cache: A json that caches the hashes of unchanged files.
        keep_hashes: Whether new hashes are added to it.

    Returns:
        For each set the numbers of unlabeled images and the duplicate of each.

    Raises:
        UserError: If no image of the validation set can be read: no duplicate would
            be detected.
    """
    known = read_known(cache)
    reader = ImageReader()
    keys = images.keys.to_pylist()
    files = [None if is_packed(key) else root / file_name(key) for key in keys]
    hashes = file_hashes([file for file in files if file is not None], known)
    action = 'unlabeled images are compared with labeled ones'
    mine = [
        hashes.get(file) if file else _packed_hash(images, number, reader)
        for number, file in enumerate(log_progress(files, len(files), action))
    ]
    leaks = {}
    for name, theirs in others.items():
        hashes = file_hashes(theirs, known)
        _check_readable(name, theirs, hashes)
        leaks[name] = find_duplicates(mine, hashes)
    if cache is not None and keep_hashes:
        write_json(cache, known)
    return leaks


def _check_readable(
    name: str, files: Sequence[Path], hashes: Mapping[Path, Any]
) -> None:
    unreadable = [file for file in files if file not in hashes]
    if not unreadable:
        return
    if name == 'val' and len(unreadable) == len(files):
        raise DataError(
            f'none of the {len(files)} images of the {name} set can be read, so no '
            f'unlabeled image can be compared with them; the first is {unreadable[0]}: '
            'check data_root and data_prefix, or set distill.leak_guard=False'
        )
    warn(
        f'{len(unreadable)} of {len(files)} images of the {name} set cannot be read '
        f'and are compared with none, the first is {unreadable[0]}'
    )


def format_leaks(name: str, leaks: Sequence[tuple[str, Any]], action: str) -> str:
    """Format a sentence that lists images of two sets.

    Args:
        name: Name of the other set.
        leaks: Keys of unlabeled images and the duplicate of each.
        action: What is done with them.
    """
    listed = ', '.join(f'{key} ({file})' for key, file in leaks[:MAX_LISTED])
    more = f' and {len(leaks) - MAX_LISTED} others' if len(leaks) > MAX_LISTED else ''
    return f'{len(leaks)} unlabeled images are in the {name} set and {action}: ' + (
        spelled_name(listed) + more
    )


def drop_leaked_images(
    images: SourceList, root: Path, guard: Mapping[str, Any]
) -> np.ndarray:
    """Report overlap with other sets, and drop images of the validation set.

    Args:
        images: The unlabeled images.
        root: Folder that their keys are relative to.
        guard: `val` and `labeled`, the COCO jsons of the two sets, a dict with
            `ann_file` and `img_root` each; `cache`, a json for hashes, which is
            not changed if `keep_hashes` is False.

    Returns:
        Numbers of the remaining images, ascending, (n,).

    Raises:
        UserError: If none remains.
    """
    others = {
        name: [file for entry in guard.get(name, []) for file in _files_of(**entry)]
        for name in ('val', 'labeled')
    }
    cache = Path(guard['cache']) if guard.get('cache') else None
    keep_hashes = guard.get('keep_hashes', True)
    leaks = leaked_images(images, root, others, cache, keep_hashes)
    for name, duplicates in leaks.items():
        if duplicates:
            pairs = [(images.keys[number].as_py(), file) for number, file in duplicates]
            sentence = format_leaks(name, pairs, ACTIONS[name])
            warn(sentence)
    leaked = [number for number, _ in leaks['val']]
    remaining = np.setdiff1d(np.arange(len(images)), leaked)
    if len(remaining) == 0:
        raise DataError(
            f'all {len(images)} unlabeled images are in the validation set; label '
            'other ones, or set distill.leak_guard=False'
        )
    return remaining


def _files_of(ann_file: str, img_root: str) -> list[Path]:
    """Image files of a set; a set that cannot be read is logged and ignored."""
    try:
        paths = annotated_images(Path(ann_file))
    except DataError as error:
        warn(f'the leak guard ignores a set: {error}')
        return []
    return [Path(img_root, path) for path in paths]


def _packed_hash(
    images: SourceList, number: int, reader: ImageReader
) -> np.ndarray | None:
    """Hash of a video frame or tar member, by content only."""
    image = images.read(number, reader)
    if image.reason:
        return None
    return picture_hashes(Image.fromarray(image.pixels[..., ::-1]))
