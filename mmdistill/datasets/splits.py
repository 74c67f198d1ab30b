"""Splits of a COCO json into labeled and unlabeled images, and their duplicates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmdistill.datasets.coco.annotations import read_structure
from mmdistill.datasets.image_hashes import file_hashes, find_duplicates
from mmdistill.datasets.leakage import format_leaks
from mmdistill.datasets.split_rules import LabeledSide, check_both_sides
from mmdistill.errors import DataError
from mmdistill.utils.files import file_sha256, write_json

SUFFIXES = ('', '_labeled', '_unlabeled', '_oracle')
"""Endings of the names of a split's files, of its manifest first."""


def write_split(
    ann_file: Path,
    choose: Callable[[dict[str, Any]], LabeledSide],
    out: Path,
    name: str,
    img_root: Path | None = None,
    by_content: bool = True,
) -> dict[str, Any]:
    """Write both sides of a split and their manifest.

    ``NAME_labeled.json`` has the labeled images with their annotations,
    ``NAME_unlabeled.json`` the others without any, ``NAME_oracle.json`` the others
    with theirs, only for upper bounds, and ``NAME.json`` the rule, the counts and the
    hashes of all files. The same json gives the same bytes.

    Where the images are on disk, both sides are compared by content: an unlabeled
    image that duplicates a labeled one, by its bytes or its perceptual hash, is listed
    under ``copies``. It is kept, so that splits of the literature stay comparable.

    Args:
        ann_file: A COCO json.
        choose: Function that returns the labeled side of its content.
        out: Folder of the files.
        name: Start of their names.
        img_root: Folder of the images; by default they are searched beside the json,
            in the layout of COCO.
        by_content: Whether both sides are compared by content.

    Returns:
        The content of ``NAME.json``.

    Raises:
        UserError: If the json has another form, two of its images are one file,
            one side would be empty, or none of the images is in `img_root`.
    """
    content = _read_unique(ann_file)
    labeled_side = choose(content)
    check_both_sides(labeled_side.images, content, labeled_side.rule)
    copies = _copies(ann_file, content, labeled_side, img_root) if by_content else None
    sides = _sides(content, labeled_side)
    for side, images in sides.items():
        write_json(out / f'{name}_{side}.json', images)
    manifest = {
        'rule': labeled_side.rule,
        'of': {'ann_file': ann_file.name, 'sha256': file_sha256(ann_file)},
        **{
            side: _describe_side(out / f'{name}_{side}.json', sides[side])
            for side in sides
        },
        'copies': copies and asdict(copies),
    }
    write_json(out / f'{name}.json', manifest)
    return manifest


def format_copies(manifest: Mapping[str, Any]) -> str:
    """Format the result of comparing both sides by content.

    Args:
        manifest: Result of `write_split`.
    """
    copies = manifest['copies']
    if copies is None:
        return 'compared by name and id alone: no images were read'
    pairs = copies['pairs']
    images = manifest['labeled']['images'] + manifest['unlabeled']['images']
    compared = f'{copies["compared"]} of {images} images compared by content: '
    if not pairs:
        return compared + 'no unlabeled image equals a labeled one'
    return compared + format_leaks('labeled', pairs, 'are kept')


def _copies(
    ann_file: Path,
    content: Mapping[str, Any],
    labeled_side: LabeledSide,
    img_root: Path | None,
) -> Copies | None:
    root = img_root or images_beside(ann_file, content['images'])
    if root is None:
        return None
    copies = find_copies(content['images'], labeled_side.images, root)
    if img_root and copies.compared == 0:
        raise DataError(f'none of the images of {ann_file} is in {img_root}')
    return copies


def _read_unique(ann_file: Path) -> dict[str, Any]:
    json_file = read_structure(ann_file)
    names = [image['file_name'] for image in json_file.content['images']]
    if len(set(names)) != len(names):
        # One file on both sides would be a leak that ids do not show.
        raise DataError(f'the annotations {ann_file} name an image twice')
    if json_file.changes or json_file.rejected:
        print_log(json_file.notes, logger='current')
    return json_file.content


def _sides(
    content: Mapping[str, Any], labeled_side: LabeledSide
) -> dict[str, dict[str, Any]]:
    labeled = [
        image for image in content['images'] if image['id'] in labeled_side.images
    ]
    rest = [
        image for image in content['images'] if image['id'] not in labeled_side.images
    ]
    ids = labeled_side.annotations
    kept = [
        annotation
        for annotation in content['annotations']
        if annotation['image_id'] in labeled_side.images
        and (ids is None or annotation['id'] in ids)
    ]
    true_annotations = [
        a for a in content['annotations'] if a['image_id'] not in labeled_side.images
    ]
    head = {key: content[key] for key in ('info', 'licenses') if key in content}
    head['categories'] = content.get('categories', [])
    return {
        'labeled': {**head, 'images': labeled, 'annotations': kept},
        'unlabeled': {**head, 'images': rest},
        'oracle': {**head, 'images': rest, 'annotations': true_annotations},
    }


def _describe_side(path: Path, side: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'file': path.name,
        'sha256': file_sha256(path),
        'images': len(side['images']),
        'annotations': len(side.get('annotations', [])),
    }


@dataclass(frozen=True)
class Copies:
    """Result of a comparison by content.

    Attributes:
        compared: Images of both sides that could be read.
        pairs: File names of an unlabeled image and of the labeled one it duplicates.
    """

    compared: int
    pairs: list[tuple[str, str]]


def find_copies(
    images: Sequence[Mapping[str, Any]], labeled: Collection[int], img_root: Path
) -> Copies:
    """Compare both sides of a split by their bytes and perceptual hashes.

    Args:
        images: All images of a COCO json.
        labeled: Ids of the labeled ones.
        img_root: Folder of the images.
    """
    sides: tuple[list[Path], list[Path]] = ([], [])
    for image in images:
        sides[image['id'] in labeled].append(Path(img_root, image['file_name']))
    unlabeled_hashes, labeled_hashes = (file_hashes(side, {}) for side in sides)
    names = [str(file.relative_to(img_root)) for file in unlabeled_hashes]
    duplicates = find_duplicates([*unlabeled_hashes.values()], labeled_hashes)
    pairs = [(names[i], str(file.relative_to(img_root))) for i, file in duplicates]
    return Copies(len(unlabeled_hashes) + len(labeled_hashes), pairs)


def images_beside(ann_file: Path, images: Sequence[Mapping[str, Any]]) -> Path | None:
    """Find the folder of the images of a json, if the layout is a usual one.

    `data/coco/annotations/person_keypoints_train2017.json` has them in
    `data/coco/train2017/`, others in `images/` or named from the root.

    Args:
        ann_file: The COCO json.
        images: Its images.
    """
    root = ann_file.resolve().parent.parent
    folders = (root / ann_file.stem.rpartition('_')[2], root / 'images', root)
    return next(
        (folder for folder in folders if (folder / images[0]['file_name']).is_file()),
        None,
    )
