"""A labeled part of a COCO json, and the rest of it as unlabeled images.

Images that both sides of a split show, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmdistill.datasets.coco.annotations import read_structure
from mmdistill.datasets.image_hashes import file_hashes, find_duplicates
from mmdistill.datasets.leakage import format_leaks
from mmdistill.datasets.split_rules import Part, check_both_sides
from mmdistill.errors import UserError
from mmdistill.utils.files import file_sha256, write_json


def write_split(
    ann_file: Path,
    choose: Callable[[dict[str, Any]], Part],
    out: Path,
    name: str,
    img_root: Path | None = None,
    by_content: bool = True,
) -> dict[str, Any]:
    """Write both sides of a split, and what they are.

    ``NAME_labeled.json`` has the labeled images with their annotations,
    ``NAME_unlabeled.json`` the others without any, ``NAME_oracle.json`` the others
    with theirs, for upper bounds alone, and ``NAME.json`` tells the rule, the counts
    and the hashes of all files. The same json gives the same bytes.

    Where the images are on disk, both sides are compared by content: an image of the
    unlabeled side that a labeled one equals, by its bytes or by what it shows, is
    named under ``copies``. It stays: a split of the literature is what it is.

    Args:
        ann_file: A COCO json.
        choose: Makes the labeled part of its content.
        out: Folder of the files.
        name: Begin of their names.
        img_root: Folder of the images; without it, they are looked for beside the
            json, as COCO's are.
        by_content: Whether both sides are compared by content.

    Returns:
        The content of ``NAME.json``.

    Raises:
        UserError: If the json has another form, two of its images are one file,
            nothing would be left on one side, or none of the images is in the folder
            that was named.
    """
    content = _read(ann_file)
    part = choose(content)
    check_both_sides(part.images, content, part.rule)
    copies = _copies(ann_file, content, part, img_root) if by_content else None
    sides = _sides(content, part)
    for side, images in sides.items():
        write_json(out / f'{name}_{side}.json', images)
    manifest = {
        'rule': part.rule,
        'of': {'ann_file': ann_file.name, 'sha256': file_sha256(ann_file)},
        **{
            side: _described(out / f'{name}_{side}.json', sides[side]) for side in sides
        },
        'copies': copies and asdict(copies),
    }
    write_json(out / f'{name}.json', manifest)
    return manifest


def format_copies(manifest: Mapping[str, Any]) -> str:
    """What comparing both sides by content found, in words and by name.

    Args:
        manifest: What `write_split` returned.
    """
    copies = manifest['copies']
    if copies is None:
        return 'compared by name and id alone: no images were looked at'
    pairs = copies['pairs']
    images = manifest['labeled']['images'] + manifest['unlabeled']['images']
    told = f'{copies["compared"]} of {images} images compared by content: '
    if not pairs:
        return told + 'no unlabeled image equals a labeled one'
    return told + format_leaks('labeled', pairs, 'stay')


def _copies(
    ann_file: Path, content: Mapping[str, Any], part: Part, img_root: Path | None
) -> Copies | None:
    root = img_root or images_beside(ann_file, content['images'])
    if root is None:
        return None
    copies = find_copies(content['images'], part.images, root)
    if img_root and copies.compared == 0:
        raise UserError(f'none of the images of {ann_file} is in {img_root}')
    return copies


def _read(ann_file: Path) -> dict[str, Any]:
    found = read_structure(ann_file)
    names = [image['file_name'] for image in found.content['images']]
    if len(set(names)) != len(names):
        # One file on both sides would be a leak that no id shows.
        raise UserError(f'the annotations {ann_file} name an image twice')
    if found.changes or found.rejected:
        print_log(found.notes, logger='current')
    return found.content


def _sides(content: Mapping[str, Any], part: Part) -> dict[str, dict[str, Any]]:
    chosen = [image for image in content['images'] if image['id'] in part.images]
    rest = [image for image in content['images'] if image['id'] not in part.images]
    ids = part.annotations
    kept = [
        annotation
        for annotation in content['annotations']
        if annotation['image_id'] in part.images
        and (ids is None or annotation['id'] in ids)
    ]
    true = [a for a in content['annotations'] if a['image_id'] not in part.images]
    head = {key: content[key] for key in ('info', 'licenses') if key in content}
    head['categories'] = content.get('categories', [])
    return {
        'labeled': {**head, 'images': chosen, 'annotations': kept},
        'unlabeled': {**head, 'images': rest},
        'oracle': {**head, 'images': rest, 'annotations': true},
    }


def _described(path: Path, side: Mapping[str, Any]) -> dict[str, Any]:
    return {
        'file': path.name,
        'sha256': file_sha256(path),
        'images': len(side['images']),
        'annotations': len(side.get('annotations', [])),
    }


@dataclass(frozen=True)
class Copies:
    """What a comparison by content found.

    Attributes:
        compared: Images of both sides that could be read.
        pairs: An unlabeled image and a labeled one that it equals, by file name.
    """

    compared: int
    pairs: list[tuple[str, str]]


def find_copies(
    images: Sequence[Mapping[str, Any]], labeled: Collection[int], img_root: Path
) -> Copies:
    """Compare both sides by their bytes and by what they show.

    Args:
        images: All images of a COCO json.
        labeled: Ids of the labeled ones.
        img_root: Folder of the images.
    """
    sides: tuple[list[Path], list[Path]] = ([], [])
    for image in images:
        sides[image['id'] in labeled].append(Path(img_root, image['file_name']))
    unlabeled, theirs = (file_hashes(side, {}) for side in sides)
    names = [str(file.relative_to(img_root)) for file in unlabeled]
    found = find_duplicates([*unlabeled.values()], theirs)
    pairs = [(names[i], str(file.relative_to(img_root))) for i, file in found]
    return Copies(len(unlabeled) + len(theirs), pairs)


def images_beside(ann_file: Path, images: Sequence[Mapping[str, Any]]) -> Path | None:
    """The folder that a json's images are in, where its layout is a usual one.

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
