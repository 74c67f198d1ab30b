"""Base class of the sources of unlabeled images."""

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
    """Images of a source, in a fixed order.

    Attributes:
        keys: Unique names of the images, undecodable bytes as surrogates: paths
            relative to the data root, with forward slashes; for an image inside a
            file, the path of the file, ``#`` and the name of the image there (see
            `mmdistill.store.image_keys`).
        locations: Position of each image within the source, (I, n), int64, in a form
            of the source's own; None if the key is enough.
        ids: Names of the images in a detection file, if the source has them.
        sizes: Width and height of each image, (I, 2), if the source has them.
        problems: A sentence for each unusable file of the source.
    """

    keys: list[str]
    locations: np.ndarray | None = None
    ids: Sequence[int | str | None] | None = None
    sizes: np.ndarray | None = None
    problems: list[str] = field(default_factory=list)


class Source(ABC):
    """Source of unlabeled images of one kind.

    Listing and reading are separate, so that one process lists for all of them.

    Args:
        root: Folder that the paths of the source are relative to.
        path: Path or pattern of the images.
        name: Name of the source in counts and thresholds; by default the stem of the
            path, or the pattern.

    Raises:
        UserError: If the path or the name is not a string.
    """

    in_order = False
    """Whether sequential reading is much faster than random access."""
    has_sequences = False
    """Whether images of one container are consecutive frames."""

    def __init__(self, root: Path, path: str, name: str | None = None) -> None:
        self.root = root
        self.path = text_option('path', path)
        default = self.path if self._matches_many() else Path(self.path).stem
        source_name = default if name is None else text_option('name', name)
        self.name = spelled_name(source_name)

    def _matches_many(self) -> bool:
        path = self.root / self.path
        return has_magic(self.path) and not (is_file(path) or is_folder(path))

    @abstractmethod
    def list_images(self) -> Listing:
        """List the images; an unusable file is a problem in the listing.

        Raises:
            DataError: If there is no image at all, or an option does not fit them;
                the images of other sources are used then.
        """

    @abstractmethod
    def read(self, key: str, location: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one image; a failure is returned as a reason.

        Args:
            key: Its key in the listing.
            location: Its location in the listing, (n,), int64.
            reader: Decoder of image files, with the limits of all sources.
        """

    def encoded(
        self, key: str, location: np.ndarray, reader: ImageReader
    ) -> bytes | None:
        """Return an image without a file of its own as the bytes of an image file.

        Args:
            key: Its key in the listing.
            location: Its location in the listing, (n,), int64.
            reader: Decoder of image files, with the limits of all sources.

        Returns:
            The bytes; None if the image cannot be read.

        Raises:
            NotImplementedError: If images of the source are files.
        """
        raise NotImplementedError(f'images of {type(self).__name__} are files')

    def encoded_file(self, image: ReadImage, data: Callable[[], bytes]) -> bytes | None:
        """Return the bytes of an image file, or a PNG of the pixels if scaled.

        Args:
            image: The decoded file.
            data: Function that returns the bytes of the file.

        Returns:
            The bytes; None if the image cannot be read.

        Raises:
            NotImplementedError: If images of the source are files.
        """
        if image.reason:
            return None
        if not image.is_scaled:
            return data()
        return cv2.imencode('.png', image.pixels)[1].tobytes()


def text_option(option: str, value: object) -> str:
    """Return an option that is a string or a path object as a string.

    Args:
        option: Its name, for the error message.
        value: Its value in the config.

    Raises:
        UserError: If it is neither.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise ConfigError(f'{option} of unlabeled images must be a text, got {value!r}')
    return text
