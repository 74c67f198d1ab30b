"""Images in tar shards, named as WebDataset names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmdistill.datasets.image_list import SUFFIXES
from mmdistill.datasets.image_reader import ImageReader, ReadImage, failed_image
from mmdistill.datasets.sources.patterns import find_files
from mmdistill.datasets.sources.source import Listing, Source
from mmdistill.datasets.sources.tar_members import image_members
from mmdistill.errors import UserError
from mmdistill.labels.image_files import TAR_SUFFIX, container_of, member_key
from mmdistill.registry import SOURCES


@SOURCES.register_module()
class TarSource(Source):
    """Images in tar files, shard after shard, read where they are.

    Members whose names end as those of images do are images. Of a sample of WebDataset
    (``7.png``, ``7.json``, ``7.seg.png``) it is the one without a further field; the
    log counts those that are not taken. Images are read by their place in the file,
    so the tars must not be compressed.

    Args:
        root: Folder that `path` is relative to.
        path: A tar, a folder with tars at any depth, a pattern of tars, or a range as
            ``'pile-{000000..000099}.tar'``. What exists is taken as it is.
        name: What labels of these images are counted under.
    """

    def __init__(self, root: Path, path: str, name: str | None = None) -> None:
        super().__init__(root, path, name)

    def list_images(self) -> Listing:
        """Read the headers of all shards.

        Raises:
            UserError: If no shard has an image.
        """
        keys: list[str] = []
        places: list[tuple[int, int]] = []
        found = find_files(self.root, self.path, frozenset({TAR_SUFFIX}))
        problems = list(found.problems)
        if not found.paths:
            sentence = (
                f'no tar below {self.root} matches {self.path} (shards must be '
                f'uncompressed and end in {TAR_SUFFIX})'
            )
            raise UserError('; '.join([sentence, *problems]))
        for shard in found.paths:
            try:
                members = image_members(self.root / shard, SUFFIXES)
            except UserError as error:
                problems.append(str(error))
                continue
            keys += [member_key(shard, name) for name in members.places]
            places += members.places.values()
            problems += members.problems
            if not members.places:
                problems.append(f'the tar {self.root / shard} holds no image')
        if not keys:
            raise UserError('; '.join(problems))
        return Listing(keys, np.array(places, dtype=np.int64), problems=problems)

    def read(self, key: str, place: np.ndarray, reader: ImageReader) -> ReadImage:
        """Read one member.

        Args:
            key: Its name in the listing.
            place: Where its bytes begin, and how many they are, (2,).
            reader: Decodes it.
        """
        if too_large := reader.refusal(int(place[1])):
            return failed_image((0, 0), too_large)
        try:
            data = self._bytes(key, place)
        except OSError as error:
            return failed_image((0, 0), error.strerror or str(error))
        if len(data) != place[1]:
            return failed_image((0, 0), 'the tar ends within the image')
        return reader.decode(data)

    def encoded(self, key: str, place: np.ndarray, reader: ImageReader) -> bytes | None:
        """The bytes of one member, or of its pixels where they were scaled.

        Args:
            key: Its name in the listing.
            place: Where its bytes begin, and how many they are, (2,).
            reader: Decodes it.
        """
        image = self.read(key, place, reader)
        return self.encoded_file(image, lambda: self._bytes(key, place))

    def _bytes(self, key: str, place: np.ndarray) -> bytes:
        with (self.root / container_of(key)).open('rb') as file:
            file.seek(int(place[0]))
            return file.read(int(place[1]))
