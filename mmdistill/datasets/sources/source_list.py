"""One list of the images of several sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.datasets.sources import Listing, Source
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage
from mmdistill.errors import ConfigError, DataError
from mmdistill.registry import SOURCES
from mmdistill.store.image_keys import container_of
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.files import file_name, spelled_name
from mmdistill.utils.logging import warn


def build_sources(configs: Sequence[Mapping[str, Any]], root: Path) -> list[Source]:
    """Build the sources of a config.

    Args:
        configs: A dict per source, with `type` and its options.
        root: Folder that their paths are relative to.

    Raises:
        UserError: If they are not a list of dicts, or if a type or an option is
            unknown, or two sources have the same name.
    """
    listed = isinstance(configs, Sequence) and not isinstance(configs, (str, bytes))
    if not listed or not configs:
        raise ConfigError(
            f'sources must be a list with a dict for each source, got {configs!r}'
        )
    sources = [_build_source(config, root) for config in configs]
    name, count = Counter(source.name for source in sources).most_common(1)[0]
    if count > 1:
        raise ConfigError(f'sources must have names of their own, {count} are {name!r}')
    return sources


class SourceList:
    """Images of all sources, each once, in the order of the sources.

    Rank 0 lists the images and broadcasts the list. A source without images and
    unusable files are logged; the other sources are used. An image of two sources
    belongs to the first.

    Args:
        sources: The sources.

    Raises:
        UserError: If no source has an image.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        listings: list[Listing] = run_on_rank_zero(lambda: _list_images(sources))
        widths = [
            0 if listing.locations is None else listing.locations.shape[1]
            for listing in listings
        ]
        sizes = [len(listing.keys) for listing in listings]
        self.owners = np.repeat(np.arange(len(sources), dtype=np.int32), sizes)
        self._locations = np.zeros((len(self.owners), max(widths)), dtype=np.int64)
        for number, listing in enumerate(listings):
            if listing.locations is not None:
                self._locations[self.owners == number, : widths[number]] = (
                    listing.locations
                )
        self.images = _merge(listings)
        # A single buffer: every worker would copy a list of strings.
        self.keys = pa.array(self.images.paths, pa.large_string())
        self._drop_repeated()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def in_order(self) -> bool:
        """Whether one process should read consecutive images."""
        return any(source.in_order for source in self.sources)

    def check_sequences(self) -> None:
        """Check that some source has consecutive frames.

        Raises:
            UserError: If none has.
        """
        if not any(source.has_sequences for source in self.sources):
            names = ', '.join(
                f'{source.name!r} ({type(source).__name__})' for source in self.sources
            )
            raise ConfigError(
                'follow needs a source of consecutive frames such as VideoSource, got '
                f'{names}; without follow each image is one box'
            )

    def frame_before(self, number: int) -> str | None:
        """Return the image before a frame, if both are of one video in one source.

        Args:
            number: The frame, not the first image.
        """
        one_source = self.owners[number - 1] == self.owners[number]
        if not (one_source and self.source_of(number).has_sequences):
            return None
        before, key = (self.keys[i].as_py() for i in (number - 1, number))
        return before if container_of(before) == container_of(key) else None

    def keep(self, numbers: np.ndarray) -> None:
        """Drop all other images.

        Args:
            numbers: Numbers of the images to keep, ascending, (n,).
        """
        self.owners, self._locations = self.owners[numbers], self._locations[numbers]
        self.keys = self.keys.take(pa.array(numbers))
        self.images = self.images.select(numbers)

    def source_of(self, number: int) -> Source:
        """Return the source of an image.

        Args:
            number: Number of the image.
        """
        return self.sources[self.owners[number]]

    def read(self, number: int, reader: ImageReader) -> ReadImage:
        """Read an image; a failure is returned as a reason.

        Args:
            number: The image.
            reader: Decoder of image files.
        """
        key = file_name(self.keys[number].as_py())
        return self.source_of(number).read(key, self._locations[number], reader)

    def sizes(self, numbers: np.ndarray, reader: ImageReader) -> np.ndarray:
        """Width and height of some images, (n, 2); not a number where unreadable.

        All frames of a video have the size of one of them.

        Args:
            numbers: The images, (n,).
            reader: Decodes image files.
        """
        known: dict[str, tuple[float, float]] = {}
        for number in numbers:
            owner = self._size_owner(number)
            if owner not in known:
                image = self.read(number, reader)
                height, width = (np.nan, np.nan) if image.reason else image.shape
                known[owner] = (width, height)
        sizes = [known[self._size_owner(number)] for number in numbers]
        return np.array(sizes, dtype=np.float64).reshape(-1, 2)

    def _size_owner(self, number: int) -> str:
        key: str = self.keys[int(number)].as_py()
        return container_of(key) if self.source_of(number).has_sequences else key

    def encoded(self, number: int, reader: ImageReader) -> bytes | None:
        """Return the bytes of an image file; None if the image cannot be read.

        Args:
            number: An image without a file of its own.
            reader: Decoder of image files.
        """
        key = file_name(self.keys[number].as_py())
        return self.source_of(number).encoded(key, self._locations[number], reader)

    def _drop_repeated(self) -> None:
        first: dict[str, int] = {}
        for number, path in enumerate(self.images.paths):
            first.setdefault(path, number)
        repeated = len(self.keys) - len(first)
        if repeated:
            warn(f'{repeated} images are in two sources and belong to the first')
            self.keep(np.array([*first.values()]))


def _build_source(config: Mapping[str, Any], root: Path) -> Source:
    if not isinstance(config, Mapping):
        raise ConfigError(f'a source must be a dict with a type, got {config!r}')
    config = dict(config)
    kind = config.pop('type', None)
    source_class = _source_class(kind)
    if source_class is None:
        known = ', '.join(sorted(SOURCES.module_dict))
        raise ConfigError(f'a source must have a type of {known}; got {kind!r}')
    try:
        return source_class(root, **config)
    except TypeError as error:
        raise ConfigError(f'the source {kind} cannot be built: {error}') from error


def _source_class(kind: object) -> type[Source] | None:
    if not isinstance(kind, str):
        return None
    try:
        source_class = SOURCES.get(kind)
    # The lookup may import a module, which can raise anything.
    except Exception:
        return None
    # The registry also resolves full names of functions of any module.
    return (
        source_class
        if isinstance(source_class, type) and issubclass(source_class, Source)
        else None
    )


def _list_images(sources: Sequence[Source]) -> list[Listing]:
    listings = []
    for source in sources:
        try:
            listing = source.list_images()
        except DataError as error:
            listing = Listing([], problems=[str(error)])
        listings.append(listing)
    problems = [
        spelled_name(problem) for listing in listings for problem in listing.problems
    ]
    if not any(listing.keys for listing in listings):
        raise DataError('; '.join(problems))
    for problem in problems:
        warn(problem)
    return listings


def _merge(listings: Sequence[Listing]) -> ImageList:
    """Merge listings into one list.

    Undecodable bytes of names are spelled out here, so that sources handle only files.
    """
    keys = [spelled_name(key) for listing in listings for key in listing.keys]
    filled = [listing for listing in listings if listing.keys]
    ids: list[int | str | None] = []
    for listing in listings:
        listing_ids = listing.ids or [None] * len(listing.keys)
        ids += [
            spelled_name(image_id) if isinstance(image_id, str) else image_id
            for image_id in listing_ids
        ]
    known = all(listing.sizes is not None for listing in filled)
    sizes = [listing.sizes for listing in filled if listing.sizes is not None]
    return ImageList(keys, ids, np.concatenate(sizes) if known else None)
