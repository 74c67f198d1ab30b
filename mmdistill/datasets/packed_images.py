"""Images of a label store that are inside of videos and tars, by their keys."""

from __future__ import annotations

import glob
from pathlib import Path

import numpy as np

from mmdistill.datasets.image_reader import ImageReader
from mmdistill.datasets.sources import Source, TarSource, VideoSource
from mmdistill.errors import UserError
from mmdistill.labels.image_files import TAR_SUFFIX, container_of

Opened = tuple[Source, dict[str, np.ndarray]]


class PackedImages:
    """Frames and members to be looked at, each sought in its file.

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
            key: A key with ``#``, as the store has it.

        Returns:
            None where the file is gone, or the image can not be read any more.
        """
        container = container_of(key)
        if container not in self._opened:
            self._opened[container] = self._open(container)
        source, places = self._opened[container]
        if key not in places:
            return None
        image = source.read(key, places[key], self._reader)
        return None if image.reason else image.pixels[..., ::-1]

    def _open(self, container: str) -> Opened:
        tar = container.lower().endswith(TAR_SUFFIX)
        source = (TarSource if tar else VideoSource)(self._root, glob.escape(container))
        try:
            listing = source.list_images()
        except UserError:
            return source, {}
        assert listing.places is not None
        return source, dict(zip(listing.keys, listing.places, strict=True))
