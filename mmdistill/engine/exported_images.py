"""Images of an export: a folder below which each of them opens.

Where all images of a store are files below its image root, that is the folder, and
nothing is written. As soon as one is inside of a video or a tar, all that the export
names come to stand below a folder of its own: frames as PNG, pixel by pixel as they
were labeled, members of tars with their own bytes, and copies of files. Copies and not
links: who corrects, packs or moves an export must not touch what it was made of.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from mmengine.logging import print_log

from mmdistill.errors import UserError
from mmdistill.labels import LabelStore, StoredLabels
from mmdistill.labels.exported_names import exported_names
from mmdistill.labels.file_names import file_name
from mmdistill.labels.files import write_bytes
from mmdistill.labels.image_files import is_frame, is_packed, opens_by_key
from mmdistill.progress import told


@dataclass(frozen=True)
class ExportedImages:
    """Writes the images of an export, where they need to be written.

    Attributes:
        store: The store.
        folder: Folder for what is written.
        dataset: Gives the data set that was labeled; called if an image is written.
    """

    store: LabelStore
    folder: Path
    dataset: Callable[[], Any]

    def __call__(self, labels: StoredLabels, images: np.ndarray) -> dict[str, str]:
        """Write images, and give the file of each by its key.

        An image that is there already stays. Those that can not be read any more, or
        are not what was labeled, are left out and counted in the log.

        Args:
            labels: All rows of the store.
            images: Numbers of the images, (n,).

        Raises:
            UserError: If another file stands where an image is to be written, or the
                disk refuses it.
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
        for number, key in told(wanted, len(wanted), 'exported images are written'):
            data = _bytes_of(dataset, number, key, sizes[key])
            if data is not None:
                _write_once(self.folder / names[key], data)
                files[key] = names[key]
        self._log_written(files, len(keys))
        return files

    def _log_written(self, files: dict[str, str], count: int) -> None:
        if lost := count - len(files):
            print_log(
                f'{lost} of {count} images can not be read any more as they were '
                'labeled, and are left out of the export with their labels',
                logger='current',
                level=logging.WARNING,
            )
        frames, packed = (sum(map(kind, files)) for kind in (is_frame, is_packed))
        print_log(
            f'{len(files)} images are written below {self.folder}, where every '
            f'file_name of the export opens: {frames} frames as PNG, {packed - frames} '
            f'members of tars as they are, {len(files) - packed} copies of files',
            logger='current',
        )


def own_image_ids(dataset: Any) -> dict[str, int]:
    """Ids that images have in the COCO json that lists them, by their keys.

    Args:
        dataset: The unlabeled set.
    """
    # An image without an id, or with that of another image, is called by its path.
    return {
        key: own
        for key, own in dataset.names()
        if isinstance(own, int) and not isinstance(own, bool)
    }


def _log_root(img_root: Path, keys: list[str]) -> None:
    """Say which folder opens the names of an export that are paths already."""
    missing = sum(not (img_root / key).is_file() for key in keys)
    if missing:
        print_log(
            f'{missing} of {len(keys)} images of the export are not below {img_root} '
            'any more, where they were labeled',
            logger='current',
            level=logging.WARNING,
        )
    print_log(
        f'every file_name of the export opens below {img_root}, where the images were '
        'labeled; none is copied',
        logger='current',
    )


def _bytes_of(dataset: Any, number: int, key: str, size: list[int]) -> bytes | None:
    """The file of an image; None where it is not what was labeled."""
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
    # The least compression: a third more bytes in a fifth of the time.
    _, png = cv2.imencode('.png', image.pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(png.tobytes())


def _write_once(path: Path, data: bytes) -> None:
    """Write a file, unless it is there; never write over another one."""
    if not path.exists():
        write_bytes(path, data)
    elif not path.is_file() or path.read_bytes() != data:
        raise UserError(
            f'{path} is there with another content and is not written over; export '
            'into another folder, or remove this file'
        )
