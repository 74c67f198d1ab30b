"""Pixels of the images of a label store by key, of files, frames and tar members."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmdistill.datasets.sources import Source, TarSource, VideoSource
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage
from mmdistill.errors import DataError
from mmdistill.store.image_keys import TAR_SUFFIX, container_of, is_packed
from mmdistill.utils.files import file_name

Opened = tuple[Source, dict[str, np.ndarray]]


class PackedImages:
    """Reader of images by their keys in a store, decoded as for labeling.

    Args:
        img_root: Folder that the keys are relative to.
    """

    def __init__(self, img_root: Path) -> None:
        self._root = img_root
        self._opened: dict[str, Opened] = {}
        self._reader = ImageReader()

    def __call__(self, key: str) -> np.ndarray | None:
        """Read the pixels of an image.

        Args:
            key: Its key in the store.

        Returns:
            RGB, (height, width, 3), uint8; None if the image can no longer be read.
        """
        if not is_packed(key):
            return _rgb(self._reader.read(self._root / file_name(key)))
        key = file_name(key)
        container = container_of(key)
        if container not in self._opened:
            self._opened[container] = self._open(container)
        source, locations = self._opened[container]
        if key not in locations:
            return None
        return _rgb(source.read(key, locations[key], self._reader))

    def _open(self, container: str) -> Opened:
        is_tar = container.lower().endswith(TAR_SUFFIX)
        source = (TarSource if is_tar else VideoSource)(self._root, container)
        try:
            listing = source.list_images()
        except DataError:
            return source, {}
        assert listing.locations is not None
        return source, dict(zip(listing.keys, listing.locations, strict=True))


def _rgb(image: ReadImage) -> np.ndarray | None:
    return None if image.reason else image.pixels[..., ::-1]
