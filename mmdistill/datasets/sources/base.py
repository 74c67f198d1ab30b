"""What every source of unlabeled images promises."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmdistill.datasets.sources.folder_walk import is_file, is_folder
from mmdistill.errors import ConfigError
from mmdistill.utils.files import spelled_name

if TYPE_CHECKING:
    from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage


@dataclass(frozen=True)
class Listing:
    """The images of a source, in a fixed order.

    Attributes:
        keys: Names of the images as Python gives them, each once: paths relative to
            the data root, with forward slashes; of an image inside of a file, the
            path of the file, ``#`` and the image's name there (see
            `mmdistill.store.image_keys`).
        places: Where the source finds each image, (I, n), int64, as it likes.
        ids: What a detection file calls the images, where the source says so.
        sizes: Width and height of each image, (I, 2), where the source says so.
        problems: A sentence for each part of the source that cannot be used.
    """

    keys: list[str]
    places: np.ndarray | None = None
    ids: Sequence[int | str | None] | None = None
    sizes: np.ndarray | None = None
    problems: list[str] = field(default_factory=list)


class Source(ABC):
    """Some of the unlabeled images, from one kind of place.

    Listing and reading are separate, so that one process lists for all of them.

    Args:
        root: Folder that the paths of the source are relative to.
        path: Where the images are, as the user wrote it.
        name: What labels of these images are counted under; the path's last part
            without its ending by default, a pattern as it is.

    Raises:
        UserError: If the path or the name is not a text.
    """

    in_order = False
    """Whether reading one after the other is much faster than here and there."""
    has_sequences = False
    """Whether images of one container are frames that follow each other."""

    def __init__(self, root: Path, path: str, name: str | None = None) -> None:
        self.root = root
        self.path = text_option('path', path)
        default = self.path if self._matches_many() else Path(self.path).stem
        given = default if name is None else text_option('name', name)
        self.name = spelled_name(given)

    def _matches_many(self) -> bool:
        path = self.root / self.path
        return has_magic(self.path) and not (is_file(path) or is_folder(path))

    @abstractmethod
    def list_images(self) -> Listing:
        """Find the images; a part that cannot be used is a problem in the listing.

        Raises:
            DataError: If there is no image at all, or an option does not fit them;
                the images of other sources are used then.
        """

    @abstractmethod
    def read(self, key: str, place: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one image; whatever is wrong with it is a reason.

        Args:
            key: Its name in the listing.
            place: Its place in the listing, (n,), int64.
            reader: Decodes image files, within limits that hold for all.
        """

    def encoded(self, key: str, place: np.ndarray, reader: ImageReader) -> bytes | None:
        """The bytes of an image file of an image that is not a file by itself.

        Args:
            key: Its name in the listing.
            place: Its place in the listing, (n,), int64.
            reader: Decodes image files, within limits that hold for all.

        Returns:
            The bytes; None where the image cannot be read.
        """
        raise NotImplementedError(f'images of {type(self).__name__} are files')

    def encoded_file(self, image: ReadImage, data: Callable[[], bytes]) -> bytes | None:
        """An image file's own bytes; where the pixels were scaled, a PNG of them.

        Args:
            image: What was read of the file.
            data: Gives its bytes.

        Returns:
            None where the image cannot be read.
        """
        if image.reason:
            return None
        if not image.is_scaled:
            return data()
        return cv2.imencode('.png', image.pixels)[1].tobytes()


def text_option(option: str, value: object) -> str:
    """Return an option that is a text, or a path object, as text.

    Args:
        option: Its name, for the error's sentence.
        value: What a user wrote.

    Raises:
        UserError: If it is neither.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise ConfigError(f'{option} of unlabeled images must be a text, got {value!r}')
    return text
