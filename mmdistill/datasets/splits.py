"""A labelled part of a COCO json, and the rest of it as unlabelled images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmdistill.errors import UserError
from mmdistill.functional.split_rules import Part, check_both_sides
from mmdistill.labels.files import file_sha256, read_json, write_json


def write_split(
    ann_file: Path, choose: Callable[[dict[str, Any]], Part], out: Path, name: str
) -> dict[str, Any]:
    """Write both sides of a split, and what they are.

    ``NAME_labeled.json`` has the labelled images with their annotations,
    ``NAME_unlabeled.json`` the others without any, ``NAME_oracle.json`` the others
    with theirs, for upper bounds alone, and ``NAME.json`` tells the rule, the counts
    and the hashes of all files. The same json gives the same bytes.

    Args:
        ann_file: A COCO json.
        choose: Makes the labelled part of its content.
        out: Folder of the files.
        name: Begin of their names.

    Returns:
        The content of ``NAME.json``.

    Raises:
        UserError: If the json has another form, two of its images are one file, or
            nothing would be left on one side.
    """
    content = _read(ann_file)
    part = choose(content)
    check_both_sides(part.images, content, part.rule)
    sides = _sides(content, part)
    for side, images in sides.items():
        write_json(out / f'{name}_{side}.json', images)
    manifest = {
        'rule': part.rule,
        'of': {'ann_file': ann_file.name, 'sha256': file_sha256(ann_file)},
        **{
            side: _described(out / f'{name}_{side}.json', sides[side]) for side in sides
        },
    }
    write_json(out / f'{name}.json', manifest)
    return manifest


def _read(ann_file: Path) -> dict[str, Any]:
    content = read_json(ann_file, 'the annotations')
    try:
        names = [image['file_name'] for image in content['images']]
        ids = {image['id'] for image in content['images']}
    except (KeyError, TypeError) as error:
        raise UserError(
            f'the annotations {ann_file} must be a COCO json whose images have id and '
            f'file_name; missing: {error}'
        ) from error
    if not len(ids) == len(set(names)) == len(names):
        # One file on both sides would be a leak that no id shows.
        raise UserError(f'the annotations {ann_file} name an image or an id twice')
    content.setdefault('annotations', [])
    return content


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
