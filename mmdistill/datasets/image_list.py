"""The list of unlabelled images, from a folder or from COCO image infos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mmdistill.errors import UserError
from mmdistill.labels.files import read_json

SUFFIXES = frozenset({'.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'})


@dataclass(frozen=True)
class ImageList:
    """Images in a fixed order.

    Attributes:
        paths: Paths relative to the image root, with forward slashes, each once.
        ids: What a detection file calls the images, where the list says so; None for
            an image that is called by its path.
        sizes: Width and height of each image, (I, 2), where the list says so.
    """

    paths: list[str]
    ids: Sequence[int | str | None] | None = None
    sizes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def numbers(self) -> dict[int | str, int]:
        """Position of an image by any name a detection file may call it."""
        ids = self.ids or [None] * len(self.paths)
        return _numbers_by_name(self.paths, ids)

    def part(self, numbers: np.ndarray) -> ImageList:
        """Some of the images.

        Args:
            numbers: Which, (n,).
        """
        return ImageList(
            [self.paths[number] for number in numbers],
            None if self.ids is None else [self.ids[number] for number in numbers],
            None if self.sizes is None else self.sizes[numbers],
        )


def images_of_folder(root: Path) -> ImageList:
    """All images below a folder, by path.

    A name that is not UTF-8 stands in the list with its bytes spelled out; it can't be
    opened by that and becomes a failed row.

    A detection file may name them by path, by file name without suffix, or by
    the number that this is (COCO's ``000000000139.jpg`` is 139), as long as no
    other image has that name too.

    Args:
        root: The folder; links to folders are followed, each folder once.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """
    if not root.is_dir():
        raise UserError(f'the image folder {root} does not exist')
    paths = sorted(_spelled(path.relative_to(root).as_posix()) for path in _walk(root))
    if not paths:
        raise UserError(
            f'the image folder {root} holds no image ({", ".join(sorted(SUFFIXES))})'
        )
    return ImageList(paths)


def images_of_coco(ann_file: Path) -> ImageList:
    """The images of a COCO json, in the order of their ids; annotations are ignored.

    Args:
        ann_file: A json with `images`, each with `id` and `file_name`.

    Raises:
        UserError: If the file is missing, has another form or lists no image.
    """
    content = read_json(ann_file, 'the image list')
    try:
        images = sorted(content['images'], key=lambda image: image['id'])
        paths = [image['file_name'] for image in images]
        ids = [image['id'] for image in images]
    except (KeyError, TypeError) as error:
        raise UserError(
            f'the image list {ann_file} must be a COCO json whose images have '
            f'id and file_name; missing: {error}'
        ) from error
    if not paths:
        raise UserError(f'the image list {ann_file} lists no image')
    for what, values in (('an image id', ids), ('the file', paths)):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise UserError(f'the image list {ann_file} names {what} twice: {value}')
    sizes = [(image.get('width'), image.get('height')) for image in images]
    known = all(isinstance(side, int) for size in sizes for side in size)
    return ImageList(paths, ids, np.array(sizes) if known else None)


def annotated_images(ann_file: Path) -> list[str]:
    """Paths of the images of an annotation file, as COCO or as MPII has them.

    Args:
        ann_file: A COCO json, or MPII's list of instances, each with its `image`.

    Raises:
        UserError: If the file is missing, has another form or lists no image.
    """
    content = read_json(ann_file, 'the image list')
    if not isinstance(content, list):
        return images_of_coco(ann_file).paths
    try:
        paths = list(dict.fromkeys(str(each['image']) for each in content))
    except (KeyError, TypeError) as error:
        raise UserError(
            f'the image list {ann_file} must be a COCO json, or a list of instances '
            f'that name their image, as that of MPII; missing: {error}'
        ) from error
    if not paths:
        raise UserError(f'the image list {ann_file} lists no image')
    return paths


def _numbers_by_name(
    paths: Sequence[str], ids: Sequence[int | str | None]
) -> dict[int | str, int]:
    """Position of each image by its path and by the short names it alone has."""
    short = [
        _short_names(path) if name is None else {name}
        for path, name in zip(paths, ids, strict=True)
    ]
    owners = Counter(name for names in short for name in names)
    numbers: dict[int | str, int] = {path: i for i, path in enumerate(paths)}
    numbers.update(
        (name, number)
        for number, names in enumerate(short)
        for name in names
        if owners[name] == 1
    )
    return numbers


def _short_names(path: str) -> set[int | str]:
    stem = Path(path).stem
    return {stem, int(stem)} if stem.isdecimal() else {stem}


def _spelled(name: str) -> str:
    return name.encode(errors='backslashreplace').decode()


def _walk(root: Path) -> Iterator[Path]:
    """Image files below a folder; a folder that links lead to twice comes once."""
    seen = set()
    for folder, names, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        # The order of folders decides under which name a linked one is found.
        names.sort()
        for name in files:
            if Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)
