"""Lists of unlabeled images, of a folder or of the images of a COCO json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.datasets.sources.folder_walk import passed_over, suffix_of, walk_folder
from mmdistill.errors import DataError, shortened
from mmdistill.utils.files import file_name, read_json

SUFFIXES = frozenset(
    {
        *('.bmp', '.dib', '.jpe', '.jpeg', '.jpg', '.jfif', '.jp2', '.pbm', '.pgm'),
        *('.png', '.pnm', '.ppm', '.tif', '.tiff', '.webp'),
    }
)
"""Suffixes of files that both MMPose and `ImageReader` read, in lower case."""


@dataclass(frozen=True)
class ImageList:
    """Images in a fixed order.

    Attributes:
        paths: Unique paths relative to the image root, with forward slashes.
        ids: Names of the images in a detection file, if the list has them; None for
            an image named by its path.
        sizes: Width and height of each image, (I, 2), if the list has them.
        problems: Sentences about skipped files.
    """

    paths: list[str]
    ids: Sequence[int | str | None] | None = None
    sizes: np.ndarray | None = None
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def numbers(self) -> dict[int | str, int]:
        """Number of each image, by any of its names in a detection file."""
        ids = self.ids or [None] * len(self.paths)
        return _numbers_by_name(self.paths, ids)

    def select(self, numbers: np.ndarray) -> ImageList:
        """Return a list of some of the images.

        Args:
            numbers: Their numbers, (n,).
        """
        return ImageList(
            [self.paths[number] for number in numbers],
            None if self.ids is None else [self.ids[number] for number in numbers],
            None if self.sizes is None else self.sizes[numbers],
        )


def images_of_folder(root: Path, hidden: bool = False) -> ImageList:
    """List all images below a folder, sorted by path.

    A detection file may name them by path, by file name without suffix, or by its
    number (COCO's ``000000000139.jpg`` is 139), as long as the name is unique.

    Args:
        root: The folder; links to folders are followed, each folder once.
        hidden: Whether to list hidden files and those in hidden folders.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """
    if not root.is_dir():
        raise DataError(f'the image folder {root} does not exist')
    walk = walk_folder(root, hidden)
    problems = passed_over(walk, root, SUFFIXES)
    paths = [path for path in walk.files if suffix_of(path) in SUFFIXES]
    if not paths:
        suffixes = ', '.join(sorted(SUFFIXES))
        sentences = [f'the image folder {root} holds no image ({suffixes})', *problems]
        raise DataError('; '.join(sentences))
    return ImageList(paths, problems=tuple(problems))


def images_of_coco(ann_file: Path) -> ImageList:
    """List the images of a COCO json, sorted by id; annotations are ignored.

    Ids are numbers or strings, numbers first.

    Args:
        ann_file: A json with `images`, each with `id` and `file_name`.

    Raises:
        UserError: If the file is missing, has another form or lists no image.
    """
    if ann_file.exists() and not ann_file.is_file():
        raise DataError(f'the image list {ann_file} is not a file')
    content = read_json(ann_file, 'the image list')
    images = content.get('images', _ABSENT) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not isinstance(images, list):
        missing = "'images'" if images is _ABSENT else 'a list of images'
        raise DataError(
            f'the image list {ann_file} must be a COCO json whose images have '
            f'id and file_name; missing: {missing}'
        )
    for name, fits, rule in _FIELDS:
        _check_field(ann_file, images, name, fits, rule)
    distinct = {json.dumps(image, sort_keys=True): image for image in images}
    repeated = len(images) - len(distinct)
    problems = (f'{repeated} entries of {ann_file} are listed twice',) * bool(repeated)
    images = sorted(
        distinct.values(), key=lambda image: (isinstance(image['id'], str), image['id'])
    )
    paths = [image['file_name'] for image in images]
    ids = [image['id'] for image in images]
    if not paths:
        raise DataError(f'the image list {ann_file} lists no image')
    for subject, values in (('an image id', ids), ('the file', paths)):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise DataError(f'the image list {ann_file} names {subject} twice: {value}')
    sizes = [(image.get('width'), image.get('height')) for image in images]
    known = all(_is_size(side) for size in sizes for side in size)
    return ImageList(paths, ids, np.array(sizes) if known else None, problems)


def annotated_images(ann_file: Path) -> list[str]:
    """List the image paths of an annotation file of COCO or MPII.

    Args:
        ann_file: A COCO json, or MPII's list of instances, each with its `image`.

    Raises:
        UserError: If the file is missing, has another form or lists no image.
    """
    content = read_json(ann_file, 'the image list')
    if not isinstance(content, list):
        return images_of_coco(ann_file).paths
    try:
        paths = list(dict.fromkeys(str(instance['image']) for instance in content))
    except (KeyError, TypeError) as error:
        raise DataError(
            f'the image list {ann_file} must be a COCO json, or a list of instances '
            f'that name their image, as that of MPII; missing: {error}'
        ) from error
    if not paths:
        raise DataError(f'the image list {ann_file} lists no image')
    return paths


_ABSENT = object()


def _is_id(value: object) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_size(value: Any) -> bool:
    return _is_id(value) and not isinstance(value, str) and 0 < value < 2**31


_FIELDS = (
    ('id', _is_id, 'a whole number or a text'),
    ('file_name', _is_name, 'a text'),
)


def _check_field(
    ann_file: Path,
    images: Sequence[Any],
    name: str,
    fits: Callable[[object], bool],
    rule: str,
) -> None:
    """Check that every image has a field of the right type."""
    for image in images:
        if not isinstance(image, dict) or name not in image:
            raise DataError(
                f'the image list {ann_file} must be a COCO json whose images have '
                f"id and file_name; missing: '{name}' in {shortened(image)}"
            )
    wrong = [image for image in images if not fits(image[name])]
    if wrong:
        raise DataError(
            f'the image list {ann_file} must give each image {rule} as {name}; '
            f'{len(wrong)} of {len(images)} have another, the first is '
            f'{shortened(wrong[0])}'
        )


def _numbers_by_name(
    paths: Sequence[str], ids: Sequence[int | str | None]
) -> dict[int | str, int]:
    """Number of each image by its path and its unique short names."""
    short = [
        _short_names(path) if name is None else _given_names(name)
        for path, name in zip(paths, ids, strict=True)
    ]
    owners = Counter(name for names in short for name in names)
    # A json may hold undecodable bytes of a name as surrogates.
    numbers: dict[int | str, int] = {file_name(p): i for i, p in enumerate(paths)}
    numbers.update((path, i) for i, path in enumerate(paths))
    numbers.update(
        (name, number)
        for number, names in enumerate(short)
        for name in names
        if owners[name] == 1
    )
    return numbers


def _given_names(name: int | str) -> set[int | str]:
    return {name, file_name(name)} if isinstance(name, str) else {name}


def _short_names(path: str) -> set[int | str]:
    stem = Path(path).stem
    return {stem, int(stem)} if stem.isdecimal() else _given_names(stem)
