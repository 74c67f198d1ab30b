"""Image files of a COCO json, checked on disk before a stage runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from PIL import Image

from mmdistill.datasets.coco.annotations import (
    RENUMBERED,
    CocoAnnotations,
    SizeOf,
    read_structure,
)
from mmdistill.datasets.sources.image_list import annotated_images
from mmdistill.errors import DataError
from mmdistill.utils.files import read_json
from mmdistill.utils.logging import warn

ORIENTATION = 0x0112
"""EXIF tag of the orientation; from 5 on, width and height are exchanged."""
MAX_LISTED = 3
"""Maximum number of missing images listed in a message."""


def size_of_image(path: Path) -> tuple[int, int] | None:
    """Read width and height of an image as training decodes it; None if unreadable.

    Args:
        path: The file.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            orientation = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def find_images(role: str, json_file: CocoAnnotations, img_root: Path) -> None:
    """Check that the images of a json exist.

    Backslashes in names, as tools on Windows write them, are replaced where that gives
    an existing file.

    Args:
        role: Role of the set, for messages.
        json_file: The json; its file names may change.
        img_root: Folder that the names are relative to.

    Raises:
        UserError: If an image with annotations that are trained on is missing.
    """
    trained = {annotation['image_id'] for annotation in _trained_annotations(json_file)}
    missing, untrained = [], []
    for image in json_file.content['images']:
        name = image['file_name']
        if _exists(img_root / name):
            continue
        with_slashes = name.replace('\\', '/')
        if with_slashes != name and _exists(img_root / with_slashes):
            image['file_name'] = with_slashes
            json_file.changes['backslashes in file names'] += 1
        elif image['id'] in trained:
            missing.append(name)
        else:
            untrained.append(name)
    if missing:
        listed = ', '.join(missing[:MAX_LISTED])
        raise DataError(
            f'{len(missing)} of {len(json_file.content["images"])} images of the '
            f'{role} set {json_file.path} are not below {img_root}/, the first: '
            f'{listed}; {_remedy(img_root, missing[0])}'
        )
    if untrained:
        warn(
            f'{len(untrained)} images of the {role} set {json_file.path} are not below '
            f'{img_root}/, the first is {untrained[0]}; no annotation of theirs is '
            'trained on, so they count as images without instances'
        )


def check_sizes(
    json_file: CocoAnnotations, size_of: SizeOf, max_images: int = 2000
) -> None:
    """Compare the sizes in a json with those of its images.

    Args:
        json_file: The json.
        size_of: Function that reads the size of an image as training decodes it,
            after the rotation by EXIF.
        max_images: Number of images to compare, evenly spread.

    Raises:
        UserError: If an image has another size.
    """
    images = json_file.content['images']
    step = max(1, math.ceil(len(images) / max_images))
    for image in images[::step]:
        stated, size = (image.get('width'), image.get('height')), None
        if None not in stated:
            size = size_of(image['file_name'])
        if size is not None and size != stated:
            rotated = ' (its sides are exchanged: the image is turned by EXIF)'
            raise DataError(
                f'the annotations {json_file.path} say that {image["file_name"]} has '
                f'{stated[0]} x {stated[1]} pixels, the image has {size[0]} x '
                f'{size[1]}{rotated if size[::-1] == stated else ""}; the '
                'student would train on shifted points and boxes: correct the sizes in '
                'the json, or use the images that were annotated'
            )


def check_other_form(role: str, path: Path, img_root: Path) -> None:
    """Check the images of annotations that a data set reads by its own code.

    Instances are left to the data set. The images of a COCO json are all checked; for
    MPII's list and others that name their images, it is an error if none exists.

    Args:
        role: Role of the set, for messages.
        path: The file.
        img_root: Folder that the names are relative to.

    Raises:
        UserError: If images are missing, or annotations of a COCO json share an id.
    """
    try:
        content = read_json(path, 'the annotations')
    except DataError:
        return  # Another format, as text or binary.
    if isinstance(content, dict) and {'images', 'annotations'} <= set(content):
        json_file = read_structure(path)
        if any(change.startswith(RENUMBERED) for change in json_file.changes):
            raise DataError(
                f'annotations of the {role} set {path} share an id or have none that '
                'is a whole number; MMPose would train all images with the points of '
                'the last one: give each annotation an id of its own'
            )
        find_images(role, json_file, img_root)
        return
    try:
        names = annotated_images(path)
    except DataError:
        return
    missing = [name for name in names if not _exists(img_root / name)]
    if len(missing) == len(names):
        raise DataError(
            f'none of the {len(names)} images of the {role} set {path} is below '
            f'{img_root}/, the first: {missing[0]}; {_remedy(img_root, missing[0])}'
        )
    if missing:
        warn(
            f'{len(missing)} of {len(names)} images of the {role} set {path} are not '
            f'below {img_root}/, the first is {missing[0]}'
        )


def _trained_annotations(json_file: CocoAnnotations) -> Iterator[dict]:
    rejected = {number for ids in json_file.rejected.values() for number in ids}
    for annotation in json_file.content['annotations']:
        if annotation['id'] not in rejected:
            yield annotation


def _remedy(img_root: Path, name: str) -> str:
    """Advice on the setting under which an image would exist."""
    names = PurePosixPath(name.replace('\\', '/')).parts
    for above in range(1, len(img_root.parts) + 1):
        root = Path(*img_root.parts[:-above])
        if _exists(root.joinpath(*names)):
            # A relative one would be joined with data_root.
            folder = f'{root.absolute()}/'
            return f'they are below {root}/: set data_prefix=dict(img={folder!r})'
    for start in range(1, len(names)):
        if _exists(img_root.joinpath(*names[start:])):
            return (
                f'there is {Path(*names[start:])}, without '
                f'{"/".join(names[:start])}/ before it: take that off the file names'
            )
    other_path = _path_in_other_case(img_root, names)
    if other_path is not None:
        return (
            f'there is {other_path}, whose letters differ in case: rename the files or '
            'correct the file names in the json'
        )
    if not img_root.is_dir():
        return (
            'that folder does not exist: set data_root and data_prefix to where they '
            'are'
        )
    return 'put them there, or set data_root and data_prefix to where they are'


def _path_in_other_case(root: Path, names: tuple[str, ...]) -> Path | None:
    path = root
    for name in names:
        if not path.is_dir():
            return None
        matches = [p for p in sorted(path.iterdir()) if p.name.lower() == name.lower()]
        if not matches:
            return None
        path = matches[0]
    return path.relative_to(root)


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
