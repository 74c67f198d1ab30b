"""Images of a label store that training does not read as they are, by their keys."""

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
    """Images to be looked at as labeling saw them, also frames and members.

    Args:
        img_root: Folder that the keys are relative to.
    """

    def __init__(self, img_root: Path) -> None:
        self._root = img_root
        self._opened: dict[str, Opened] = {}
        self._reader = ImageReader()

    def __call__(self, key: str) -> np.ndarray | None:
        """The pixels of an image, RGB (H, W, 3), uint8.

        Args:
            key: A key, as the store has it.

        Returns:
            None where the file is gone, or the image cannot be read any more.
        """
        if not is_packed(key):
            return _rgb(self._reader.read(self._root / file_name(key)))
        key = file_name(key)
        container = container_of(key)
        if container not in self._opened:
            self._opened[container] = self._open(container)
        source, places = self._opened[container]
        if key not in places:
            return None
        return _rgb(source.read(key, places[key], self._reader))

    def _open(self, container: str) -> Opened:
        tar = container.lower().endswith(TAR_SUFFIX)
        source = (TarSource if tar else VideoSource)(self._root, container)
        try:
            listing = source.list_images()
        except DataError:
            return source, {}
        assert listing.places is not None
        return source, dict(zip(listing.keys, listing.places, strict=True))


def _rgb(image: ReadImage) -> np.ndarray | None:
    return None if image.reason else image.pixels[..., ::-1]
