"""Images of a COCO json on disk: looked for before anything expensive is done."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mmengine.logging import print_log
from PIL import Image

from mmdistill.datasets.coco.annotations import (
    NUMBERED_ANEW,
    CocoAnnotations,
    SizeOf,
    read_structure,
)
from mmdistill.datasets.sources.image_list import annotated_images
from mmdistill.errors import UserError
from mmdistill.utils.files import read_json

ORIENTATION = 0x0112
"""The EXIF tag; from 5 on the sides of the image are exchanged."""
NAMED = 3
"""Missing images that a sentence names."""


def size_of_image(path: Path) -> tuple[int, int] | None:
    """Width and height of an image as training decodes it; None if it is unreadable.

    Args:
        path: The file.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return (height, width) if turned in (5, 6, 7, 8) else (width, height)


def find_images(role: str, found: CocoAnnotations, img_root: Path) -> None:
    """Make sure that the images of a json are there.

    Names with backslashes, as tools on Windows write them, are brought into form where
    that makes them files.

    Args:
        role: The set's role, for the sentences.
        found: The json; its file names may change.
        img_root: Folder that the names are relative to.

    Raises:
        UserError: If an image with annotations that are trained on is missing.
    """
    trained = {annotation['image_id'] for annotation in _trained(found)}
    missing, spare = [], []
    for image in found.content['images']:
        name = image['file_name']
        if _is_file(img_root / name):
            continue
        forward = name.replace('\\', '/')
        if forward != name and _is_file(img_root / forward):
            image['file_name'] = forward
            found.changes['backslashes in file names'] += 1
        elif image['id'] in trained:
            missing.append(name)
        else:
            spare.append(name)
    if missing:
        shown = ', '.join(missing[:NAMED])
        raise UserError(
            f'{len(missing)} of {len(found.content["images"])} images of the {role} '
            f'set {found.path} are not below {img_root}/, the first: {shown}; '
            f'{_remedy(img_root, missing[0])}'
        )
    if spare:
        print_log(
            f'{len(spare)} images of the {role} set {found.path} are not below '
            f'{img_root}/, the first is {spare[0]}; no annotation of theirs is '
            'trained on, so they count as images without instances',
            logger='current',
            level=logging.WARNING,
        )


def check_sizes(found: CocoAnnotations, size_of: SizeOf, at_most: int = 2000) -> None:
    """Compare the sizes that a json states with those of its images.

    Args:
        found: The json.
        size_of: Reads the size of an image, as training decodes it: turned as its
            EXIF orientation says.
        at_most: Images that are compared, evenly spread over the json's.

    Raises:
        UserError: If an image has another size.
    """
    images = found.content['images']
    step = max(1, math.ceil(len(images) / at_most))
    for image in images[::step]:
        stated, size = (image.get('width'), image.get('height')), None
        if None not in stated:
            size = size_of(image['file_name'])
        if size is not None and size != stated:
            turned = ' (its sides are exchanged: the image is turned by EXIF)'
            raise UserError(
                f'the annotations {found.path} say that {image["file_name"]} has '
                f'{stated[0]} x {stated[1]} pixels, the image has {size[0]} x '
                f'{size[1]}{turned if size[::-1] == stated else ""}; points and '
                'boxes of another size would be trained on in wrong places'
            )


def check_other_form(role: str, path: Path, img_root: Path) -> None:
    """Look for the images of annotations that their data set reads by itself.

    What they say of instances is left to the data set. Of a COCO json the images are
    looked for as always; of MPII's list, and others that name their images, it is an
    error when none of them is there.

    Args:
        role: The set's role, for the sentences.
        path: The file.
        img_root: Folder that the names are relative to.

    Raises:
        UserError: If images are missing, or annotations of a COCO json share an id.
    """
    try:
        content = read_json(path, 'the annotations')
    except UserError:
        return  # A form of its own, as text or binary.
    if isinstance(content, dict) and {'images', 'annotations'} <= set(content):
        found = read_structure(path)
        if any(change.startswith(NUMBERED_ANEW) for change in found.changes):
            raise UserError(
                f'annotations of the {role} set {path} share an id or have none that '
                'is a whole number; MMPose would train all images with the points of '
                'the last one: give each annotation an id of its own'
            )
        find_images(role, found, img_root)
        return
    try:
        names = annotated_images(path)
    except UserError:
        return
    missing = [name for name in names if not _is_file(img_root / name)]
    if len(missing) == len(names):
        raise UserError(
            f'none of the {len(names)} images of the {role} set {path} is below '
            f'{img_root}/, the first: {missing[0]}; {_remedy(img_root, missing[0])}'
        )
    if missing:
        print_log(
            f'{len(missing)} of {len(names)} images of the {role} set {path} are not '
            f'below {img_root}/, the first is {missing[0]}',
            logger='current',
            level=logging.WARNING,
        )


def _trained(found: CocoAnnotations) -> Iterator[dict]:
    rejected = {number for ids in found.rejected.values() for number in ids}
    for annotation in found.content['annotations']:
        if annotation['id'] not in rejected:
            yield annotation


def _remedy(img_root: Path, name: str) -> str:
    """The setting that would make an image a file, or what to look at."""
    parts = PurePosixPath(name.replace('\\', '/')).parts
    for above in range(1, len(img_root.parts) + 1):
        root = Path(*img_root.parts[:-above])
        if _is_file(root.joinpath(*parts)):
            return f'they are below {root}/: set data_prefix (with data_root) to that'
    for start in range(1, len(parts)):
        if _is_file(img_root.joinpath(*parts[start:])):
            return (
                f'there is {Path(*parts[start:])}, without '
                f'{"/".join(parts[:start])}/ before it: take that off the file names'
            )
    other = _other_case(img_root, parts)
    if other is not None:
        return f'there is {other}, whose letters differ in case'
    if not img_root.is_dir():
        return 'that folder does not exist: set data_root and data_prefix'
    return 'put them there, or set data_root and data_prefix to where they are'


def _other_case(root: Path, parts: tuple[str, ...]) -> Path | None:
    found = root
    for part in parts:
        if not found.is_dir():
            return None
        names = [p for p in sorted(found.iterdir()) if p.name.lower() == part.lower()]
        if not names:
            return None
        found = names[0]
    return found.relative_to(root)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
