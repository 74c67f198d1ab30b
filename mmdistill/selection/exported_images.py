"""Images of an export: a folder with a file for each of them, and their names.

Where all images of a store are files below its image root, that is the folder, and
nothing is written. As soon as one is inside of a video or a tar, all exported images
are written below a folder of the export: frames as PNG, pixel by pixel as they were
labeled, members of tars with their own bytes, and copies of files. Copies and not
links: to correct, pack or move an export must not affect its originals.

Frames, members of tars and files of several folders are written side by side. A name is
the path of its image without characters that other programs cannot handle: ``#``, which
ends a URL, and folders above the root. ``film.mp4#000010`` is
``film.mp4/000010.png``, ``a.tar#dir/7.jpg`` is ``a.tar/dir/7.jpg``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from mmengine.logging import print_log

from mmdistill.errors import DataError
from mmdistill.store import LabelStore, StoredLabels
from mmdistill.store.image_keys import container_of, is_frame, is_packed, opens_by_key
from mmdistill.utils.files import file_name, write_bytes
from mmdistill.utils.logging import log_progress, warn

LONGEST_PART = 120
"""Maximum bytes of a folder's or file's name; file systems allow 255."""
LONGEST_NAME = 600
"""Maximum bytes of a whole path below the folder."""
HASH_DIGITS = 12
"""Hexadecimal digits of the hash in a shortened name."""

_HOSTILE = re.compile('[\x00-\x1f\x7f#?%\\\\\ud800-\udfff]')


@dataclass(frozen=True)
class ExportedImages:
    """Writer of the images of an export, where they are not files yet.

    Attributes:
        store: The store.
        folder: Folder for what is written.
        dataset: Builds the labeled data set; called if an image is written.

    >>> write = ExportedImages(store, Path('export'), dataset=lambda: dataset)
    >>> write(store.read(), np.array([0, 1]))
    {'a.jpg': 'a.jpg', 'b.jpg': 'b.jpg'}
    """

    store: LabelStore
    folder: Path
    dataset: Callable[[], Any]

    def __call__(self, labels: StoredLabels, images: np.ndarray) -> dict[str, str]:
        """Write images, and return the file of each by its key.

        Existing files are kept. Images that cannot be read any more, or that changed
        since they were labeled, are left out and counted in the log.

        Args:
            labels: All rows of the store.
            images: Indices of the images, (n,).

        Raises:
            UserError: If another file exists at the path of an image, or the disk
                refuses it.
        """
        keys = labels.paths.combine_chunks().take(pa.array(images)).to_pylist()
        img_root = Path(self.store.manifest['about']['img_root'])
        if all(map(opens_by_key, keys)):
            _log_root(img_root, keys)
            return dict(zip(keys, keys, strict=True))
        sizes = dict(zip(keys, labels.sizes[images].tolist(), strict=True))
        names = dict(zip(keys, exported_names(keys), strict=True))
        dataset = self.dataset()
        wanted = [(n, key) for n, key in enumerate(dataset.paths) if key in names]
        files = {}
        for number, key in log_progress(
            wanted, len(wanted), 'exported images are written'
        ):
            data = _bytes_of(dataset, number, key, sizes[key])
            if data is not None:
                _write_once(self.folder / names[key], data)
                files[key] = names[key]
        self._log_written(files, len(keys))
        return files

    def _log_written(self, files: dict[str, str], count: int) -> None:
        if lost := count - len(files):
            warn(
                f'{lost} of {count} images cannot be read any more as they were '
                'labeled, and are left out of the export with their labels'
            )
        frames, packed = (sum(map(kind, files)) for kind in (is_frame, is_packed))
        print_log(
            f'{len(files)} images are written below {self.folder}, where every '
            f'file_name of the export opens: {frames} frames as PNG, {packed - frames} '
            f'members of tars as they are, {len(files) - packed} copies of files',
            logger='current',
        )


def own_image_ids(dataset: Any) -> dict[str, int]:
    """Look up the ids of images in the COCO json that lists them, by their keys.

    Args:
        dataset: The unlabeled set.

    >>> class Unlabeled:
    ...     def names(self):
    ...         return [('a.jpg', 17), ('b.jpg', 'b.jpg')]
    >>> own_image_ids(Unlabeled())
    {'a.jpg': 17}
    """
    # An image without an id, or with that of another image, is named by its path.
    return {
        key: own
        for key, own in dataset.names()
        if isinstance(own, int) and not isinstance(own, bool)
    }


def exported_names(keys: Sequence[str]) -> list[str]:
    """Name images below one folder.

    Names are unique, even where upper and lower case are equal, and none is the folder
    of another. A name depends on the set of images, not on its order.

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
    # A file and a folder cannot have the same name.
    counts = Counter(folded)
    files = set(folded)
    return [
        _with_hash(name, key)
        if counts[own] > 1
        or own in folders
        or any(str(parent) in files for parent in PurePosixPath(own).parents)
        else name
        for name, own, key in zip(names, folded, keys, strict=True)
    ]


def _log_root(img_root: Path, keys: list[str]) -> None:
    """Log the folder in which the exported names, which are paths, exist."""
    missing = sum(not (img_root / key).is_file() for key in keys)
    if missing:
        warn(
            f'{missing} of {len(keys)} images of the export are not below {img_root} '
            'any more, where they were labeled'
        )
    print_log(
        f'every file_name of the export opens below {img_root}, where the images were '
        'labeled; none is copied',
        logger='current',
    )


def _bytes_of(dataset: Any, number: int, key: str, size: list[int]) -> bytes | None:
    """Encode an image as a file; None where it changed since it was labeled."""
    if not is_packed(key):
        try:
            return bytes((dataset.img_root / file_name(key)).read_bytes())
        except OSError:
            return None
    image = dataset.read(number)
    if image.reason or [*image.shape[::-1]] != size:
        return None
    if not is_frame(key):
        data: bytes | None = dataset.encoded(number)
        return data
    # Lowest compression: a third more bytes in a fifth of the time.
    _, png = cv2.imencode('.png', image.pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(png.tobytes())


def _write_once(path: Path, data: bytes) -> None:
    """Write a file unless it exists; never overwrite another one."""
    if not path.exists():
        write_bytes(path, data)
    elif not path.is_file() or path.read_bytes() != data:
        raise DataError(
            f'{path} exists with another content and is not overwritten; export '
            'into another folder, or remove this file'
        )


def _readable(key: str) -> str:
    """Convert a key to a path that other programs can open."""
    path = key
    if is_packed(key):
        container = container_of(key)
        path = f'{container}/{key[len(container) + 1 :]}'
    suffix = '.png' if is_frame(key) else ''
    parts = [part for part in PurePosixPath(path).parts if part != '/']
    shown = [_HOSTILE.sub('_', '__' if part == '..' else part) for part in parts]
    name = '/'.join(shown) + suffix
    if len(name.encode()) > LONGEST_NAME:
        return _with_hash(shown[-1] + suffix, key)
    too_long = any(len(part.encode()) > LONGEST_PART for part in name.split('/'))
    return _with_hash(name, key) if too_long or not shown else name


def _with_hash(name: str, key: str) -> str:
    """Make a name unique and short, with a hash of the key."""
    *folders, last = name.split('/')
    path = PurePosixPath(last or 'image')
    suffix = path.suffix if len(path.suffix.encode()) < HASH_DIGITS else ''
    digits = sha256(key.encode(errors='surrogatepass')).hexdigest()[:HASH_DIGITS]
    stem = _cut(last.removesuffix(suffix), LONGEST_PART - HASH_DIGITS - 12)
    return '/'.join([*map(_cut, folders), f'{stem}-{digits}{suffix}'])


def _cut(text: str, most: int = LONGEST_PART) -> str:
    return text.encode()[:most].decode(errors='ignore')
