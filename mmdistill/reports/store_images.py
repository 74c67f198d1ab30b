"""The images of a store, wherever they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmdistill.errors import UserError
from mmdistill.labels.image_files import image_file, is_packed
from mmdistill.reports.crops import read_image

ReadPacked = Callable[[str], 'np.ndarray | None']
"""Gives the pixels, RGB (H, W, 3), of an image in a video or tar by its key."""
PackedImagesOf = Callable[[Path], ReadPacked]
"""Gives what reads the videos and tars below an image root."""


def no_packed_images(img_root: Path) -> ReadPacked:
    """Read nothing of videos and tars."""
    return lambda key: None


@dataclass(frozen=True)
class StoreImages:
    """Reads images by their keys: files, those written out, and those that are not.

    Attributes:
        store: Folder of the store.
        img_root: Folder that keys are relative to.
        read_packed: Reads what is inside of another file and was not written out, as
            the frames of rejected candidates.
    """

    store: Path
    img_root: Path
    read_packed: ReadPacked

    def read(self, key: str) -> np.ndarray:
        """One image, RGB (H, W, 3), uint8.

        Args:
            key: Its key.

        Raises:
            UserError: If it is missing or not an image.
        """
        file = image_file(self.store, self.img_root, key)
        packed = is_packed(key)
        if packed and file.is_file():
            return read_image(file)
        pixels = self.read_packed(key)
        if pixels is None and not packed:
            return read_image(file)
        if pixels is None:
            raise UserError(
                f'the image {key} of the label store {self.store} can not be read '
                f'below {self.img_root}'
            )
        return pixels
