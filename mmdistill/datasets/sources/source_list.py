"""Several sources of unlabeled images as one list."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from mmengine.logging import print_log

from mmdistill.datasets.sources import Listing, Source
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.datasets.sources.image_reader import ImageReader, ReadImage
from mmdistill.errors import ConfigError, DataError
from mmdistill.registry import SOURCES
from mmdistill.store.image_keys import container_of
from mmdistill.utils.dist import run_on_rank_zero
from mmdistill.utils.files import file_name, spelled_name


def build_sources(configs: Sequence[Mapping[str, Any]], root: Path) -> list[Source]:
    """Build the sources that a user named.

    Args:
        configs: A dict each, with `type` and what it takes.
        root: Folder that their paths are relative to.

    Raises:
        UserError: If they are no list of dicts, or one is of no known type, takes no
            such option, or has the name of another one.
    """
    listed = isinstance(configs, Sequence) and not isinstance(configs, (str, bytes))
    if not listed or not configs:
        raise ConfigError(
            f'sources must be a list with a dict for each source, got {configs!r}'
        )
    sources = [_built(config, root) for config in configs]
    name, count = Counter(source.name for source in sources).most_common(1)[0]
    if count > 1:
        raise ConfigError(f'sources must have names of their own, {count} are {name!r}')
    return sources


class SourceList:
    """The images of all sources, each once, in the order of the sources.

    One process looks for the images and tells the others. A source that has none is
    told in the log, and so is a part of a source that cannot be used; the others go
    on. An image that two sources have belongs to the first.

    Args:
        sources: The sources.

    Raises:
        UserError: If no source has an image.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        listings: list[Listing] = run_on_rank_zero(lambda: _listed(sources))
        widths = [0 if one.places is None else one.places.shape[1] for one in listings]
        sizes = [len(listing.keys) for listing in listings]
        self.owners = np.repeat(np.arange(len(sources), dtype=np.int32), sizes)
        self._places = np.zeros((len(self.owners), max(widths)), dtype=np.int64)
        for number, listing in enumerate(listings):
            if listing.places is not None:
                self._places[self.owners == number, : widths[number]] = listing.places
        self.images = _merged(listings)
        # One block of text: a list of strings would be copied by every worker.
        self.keys = pa.array(self.images.paths, pa.large_string())
        self._drop_repeated()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def in_order(self) -> bool:
        """Whether one process should read images that follow each other."""
        return any(source.in_order for source in self.sources)

    def check_sequences(self) -> None:
        """Make sure that images of some source follow each other.

        Raises:
            UserError: If there is no such source.
        """
        if not any(source.has_sequences for source in self.sources):
            names = ', '.join(
                f'{source.name!r} ({type(source).__name__})' for source in self.sources
            )
            raise ConfigError(
                'boxes are followed from frame to frame of a video, and nothing says '
                f'that images of these sources follow each other: {names}; without '
                'follow each image is one box'
            )

    def frame_before(self, number: int) -> str | None:
        """The image before a frame, if both are frames of one video in one source.

        Args:
            number: The frame, not the first image.
        """
        one_source = self.owners[number - 1] == self.owners[number]
        if not (one_source and self.source_of(number).has_sequences):
            return None
        before, key = (self.keys[i].as_py() for i in (number - 1, number))
        return before if container_of(before) == container_of(key) else None

    def keep(self, numbers: np.ndarray) -> None:
        """Leave all other images out.

        Args:
            numbers: Images that stay, ascending.
        """
        self.owners, self._places = self.owners[numbers], self._places[numbers]
        self.keys = self.keys.take(pa.array(numbers))
        self.images = self.images.part(numbers)

    def source_of(self, number: int) -> Source:
        """The source of an image."""
        return self.sources[self.owners[number]]

    def read(self, number: int, reader: ImageReader) -> ReadImage:
        """Read an image; whatever is wrong with it is a reason.

        Args:
            number: The image.
            reader: Decodes image files.
        """
        key = file_name(self.keys[number].as_py())
        return self.source_of(number).read(key, self._places[number], reader)

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
        """The bytes of an image file; None where the image cannot be read.

        Args:
            number: An image that is not a file by itself.
            reader: Decodes image files.
        """
        key = file_name(self.keys[number].as_py())
        return self.source_of(number).encoded(key, self._places[number], reader)

    def _drop_repeated(self) -> None:
        first: dict[str, int] = {}
        for number, path in enumerate(self.images.paths):
            first.setdefault(path, number)
        repeated = len(self.keys) - len(first)
        if repeated:
            _warn(f'{repeated} images are in two sources and belong to the first')
            self.keep(np.array([*first.values()]))


def _built(config: Mapping[str, Any], root: Path) -> Source:
    if not isinstance(config, Mapping):
        raise ConfigError(f'a source must be a dict with a type, got {config!r}')
    config = dict(config)
    kind = config.pop('type', None)
    found = _source_class(kind)
    if found is None:
        known = ', '.join(sorted(SOURCES.module_dict))
        raise ConfigError(f'a source must have a type of {known}; got {kind!r}')
    try:
        return found(root, **config)
    except TypeError as error:
        raise ConfigError(f'the source {kind} cannot be built: {error}') from error


def _source_class(kind: object) -> type[Source] | None:
    if not isinstance(kind, str):
        return None
    try:
        found = SOURCES.get(kind)
    # It imports what the name might mean, with any error.
    except Exception:
        return None
    # The registry gives any function of any module by its full name.
    return found if isinstance(found, type) and issubclass(found, Source) else None


def _listed(sources: Sequence[Source]) -> list[Listing]:
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
        _warn(problem)
    return listings


def _merged(listings: Sequence[Listing]) -> ImageList:
    """One list; an id of a COCO json counts where no other image has that name.

    Names are spelled here, once, so that sources deal in files alone.
    """
    keys = [spelled_name(key) for listing in listings for key in listing.keys]
    filled = [listing for listing in listings if listing.keys]
    ids: list[int | str | None] = []
    for listing in listings:
        given = listing.ids or [None] * len(listing.keys)
        ids += [spelled_name(one) if isinstance(one, str) else one for one in given]
    known = all(listing.sizes is not None for listing in filled)
    sizes = [listing.sizes for listing in filled if listing.sizes is not None]
    return ImageList(keys, ids, np.concatenate(sizes) if known else None)


def _warn(sentence: str) -> None:
    print_log(sentence, logger='current', level=logging.WARNING)
