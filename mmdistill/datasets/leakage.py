"""Unlabeled images that are also in the validation set must not train the student."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
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
from mmdistill.errors import UserError
from mmdistill.store.image_keys import is_packed
from mmdistill.utils.files import file_name, spelled_name, write_json
from mmdistill.utils.logging import log_progress

NAMED = 10
"""Images that a warning names."""
ACTIONS = {'val': 'are left out', 'labeled': 'are labeled too'}


def leaked_images(
    images: SourceList,
    root: Path,
    others: Mapping[str, Sequence[Path]],
    cache: Path | None = None,
    keep_hashes: bool = True,
) -> dict[str, list[tuple[int, Path]]]:
    """Unlabeled images that are in other sets: same bytes, or the same picture.

    Images that cannot be read are in no set, and are counted in the log.

    Args:
        images: The unlabeled images.
        root: Folder that their keys are relative to.
        others: Files of the other sets, by the sets' names.
        cache: A json that keeps the hashes of files that stay as they are.
        keep_hashes: Whether new ones are written there.

    Returns:
        For each set the numbers of unlabeled images and the file each one equals.

    Raises:
        UserError: If the set of validation has images of which none can be read: the
            guard would let all of them through.
    """
    known = read_known(cache)
    reader = ImageReader()
    keys = images.keys.to_pylist()
    files = [None if is_packed(key) else root / file_name(key) for key in keys]
    prints = file_hashes([file for file in files if file is not None], known)
    what = 'unlabeled images are compared with labeled ones'
    mine = [
        prints.get(file) if file else _packed_print(images, number, reader)
        for number, file in enumerate(log_progress(files, len(files), what))
    ]
    leaks = {}
    for name, theirs in others.items():
        prints = file_hashes(theirs, known)
        _check_readable(name, theirs, prints)
        leaks[name] = find_duplicates(mine, prints)
    if cache is not None and keep_hashes:
        write_json(cache, known)
    return leaks


def _check_readable(
    name: str, files: Sequence[Path], prints: Mapping[Path, Any]
) -> None:
    unread = [file for file in files if file not in prints]
    if not unread:
        return
    if name == 'val' and len(unread) == len(files):
        raise UserError(
            f'none of the {len(files)} images of the {name} set can be read, so no '
            f'unlabeled image can be compared with them; the first is {unread[0]}: '
            'look at data_root and data_prefix, or set distill.leak_guard=False'
        )
    print_log(
        f'{len(unread)} of {len(files)} images of the {name} set cannot be read and '
        f'are compared with none, the first is {unread[0]}',
        logger='current',
        level=logging.WARNING,
    )


def format_leaks(name: str, leaks: Sequence[tuple[str, Any]], fate: str) -> str:
    """A sentence that names images that are in two sets.

    Args:
        name: Name of the other set.
        leaks: Keys of unlabeled images and the file each one equals.
        fate: What becomes of them.
    """
    shown = ', '.join(f'{key} ({file})' for key, file in leaks[:NAMED])
    more = f' and {len(leaks) - NAMED} others' if len(leaks) > NAMED else ''
    return f'{len(leaks)} unlabeled images are in the {name} set and {fate}: ' + (
        spelled_name(shown) + more
    )


def drop_leaked_images(
    images: SourceList, root: Path, guard: Mapping[str, Any]
) -> np.ndarray:
    """Report overlap with other sets; leave out what is in the validation set.

    Args:
        images: The unlabeled images.
        root: Folder that their keys are relative to.
        guard: `val` and `labeled`, the COCO jsons of the two sets, a dict with
            `ann_file` and `img_root` each; `cache`, a json for hashes, which stays
            as it is if `keep_hashes` is False.

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
    keep = guard.get('keep_hashes', True)
    leaks = leaked_images(images, root, others, cache, keep)
    for name, found in leaks.items():
        if found:
            pairs = [(images.keys[number].as_py(), file) for number, file in found]
            sentence = format_leaks(name, pairs, ACTIONS[name])
            print_log(sentence, logger='current', level=logging.WARNING)
    left_out = [number for number, _ in leaks['val']]
    stay = np.setdiff1d(np.arange(len(images)), left_out)
    if len(stay) == 0:
        raise UserError(
            f'all {len(images)} unlabeled images are in the validation set; label '
            'other ones, or set distill.leak_guard=False'
        )
    return stay


def _files_of(ann_file: str, img_root: str) -> list[Path]:
    """The images of a set; one that cannot be read is told and guards nothing."""
    try:
        paths = annotated_images(Path(ann_file))
    except UserError as error:
        print_log(
            f'the leak guard does without a set: {error}',
            logger='current',
            level=logging.WARNING,
        )
        return []
    return [Path(img_root, path) for path in paths]


def _packed_print(
    images: SourceList, number: int, reader: ImageReader
) -> np.ndarray | None:
    """Hashes of a frame or a member; of a frame, bytes are not compared."""
    image = images.read(number, reader)
    if image.reason:
        return None
    return picture_hashes(Image.fromarray(image.pixels[..., ::-1]))
