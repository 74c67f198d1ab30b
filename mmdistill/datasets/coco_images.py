"""Images of a COCO json on disk: looked for before anything expensive is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mmengine.logging import print_log
from PIL import Image

from mmdistill.datasets.coco_annotations import CocoAnnotations
from mmdistill.errors import UserError

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
