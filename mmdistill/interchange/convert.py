"""Conversion of labels between tools: any that is read to any that is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmdistill.errors import ConfigError, DataError
from mmdistill.interchange.coco_labels import (
    IMAGES,
    check_space,
    metainfo_text,
    read_coco,
    write_coco,
    write_images,
)
from mmdistill.interchange.deeplabcut import (
    is_project,
    read_deeplabcut,
    write_deeplabcut,
)
from mmdistill.interchange.label_studio import (
    is_label_studio,
    read_label_studio,
    write_label_studio,
)
from mmdistill.interchange.project import LabeledInstance, Project
from mmdistill.interchange.sleap import read_sleap, write_slp
from mmdistill.interchange.yolo import IMAGES as YOLO_IMAGES
from mmdistill.interchange.yolo import is_yolo, read_yolo, write_yolo
from mmdistill.utils.files import read_json
from mmdistill.utils.logging import warn

LABELED = 'labeled.json'
METAINFO = 'metainfo.py'
TOOLS = ('deeplabcut', 'sleap', 'label-studio', 'yolo', 'cvat')
"""Tools that labels are exported for."""


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import.

    Attributes:
        images: Folder of the images or videos where they are not in the project.
        keypoints: Names of the keypoints in the order to write; that of the project
            when empty.
        category: Name of the category; that of the project when empty.
        predicted: Whether predictions that no person corrected count too.
        skip_missing: Whether images without a file are left out.
        margin: Pixels around the keypoints of a box that no tool gave; see
            `Project.with_boxes` when None.

    >>> ImportOptions(keypoints=('snout', 'tail')).skip_missing
    False
    """

    images: Path | None = None
    keypoints: tuple[str, ...] = ()
    category: str = ''
    predicted: bool = False
    skip_missing: bool = False
    margin: float | None = None


def import_labels(
    path: Path, folder: Path, options: ImportOptions | None = None
) -> Project:
    """Convert a project of another tool to a labeled set that trains.

    Writes `labeled.json`, `images/` and `metainfo.py`, the keypoints for MMPose.

    Args:
        path: Folder or file of the project.
        folder: Folder to write, new or empty.
        options: Options of the import.

    Returns:
        What was imported, with sentences about what was left out.

    Raises:
        DataError: If the project cannot be read, has no labels or misses images.
        ConfigError: If it needs a package that is not installed, or the folder holds
            something else.

    >>> project = import_labels(Path('mouse-me-2024'), Path('data/mouse'))
    >>> project.keypoints
    ('snout', 'leftear', 'rightear', 'tailbase')
    """
    options = options or ImportOptions()
    _check_folder(folder)
    if options.margin is not None and not options.margin >= 0:
        raise ConfigError(
            f'margin must be a number of pixels from 0 on, got {options.margin}'
        )
    project = _read(path, options)
    if options.keypoints:
        project = project.in_order(options.keypoints)
    if options.category:
        project = _in_category(project, options.category)
    project = project.with_pairs()
    check_space(project, folder)
    written = write_images(project, folder / IMAGES)
    sizes = {key: size for key, (_, size) in written.items()}
    project = project.with_boxes(sizes, options.margin)
    write_coco(project, folder / LABELED, written, folder / IMAGES)
    text = metainfo_text(project, folder.absolute().name)
    (folder / METAINFO).write_text(text, encoding='utf-8')
    _log(project, path)
    return project


def export_labels(
    path: Path, folder: Path, tool: str, images: Path, skip_missing: bool = False
) -> Project:
    """Convert a COCO json to the form of a tool, with its images.

    Args:
        path: The json: a labeled set, or what `select_labels.py --export-coco` wrote.
        folder: Folder to write, new or empty.
        tool: One of `TOOLS`.
        images: Folder that the file names of the json are relative to.
        skip_missing: Whether images without a file are left out.

    Returns:
        What was exported.

    Raises:
        DataError: If the json cannot be read or misses images.
        ConfigError: If the tool is none of them, or the folder holds something else.

    >>> export_labels(Path('labels.json'), Path('out'), 'yolo', Path('images')).count
    1
    """
    if tool not in TOOLS:
        raise ConfigError(f'a tool must be one of {", ".join(TOOLS)}, got {tool!r}')
    _check_folder(folder)
    project = read_coco(path, images, skip_missing).with_pairs()
    check_space(project, folder)
    if tool == 'deeplabcut':
        project = _in_folders(project)
    place = dict(deeplabcut='labeled-data', yolo=YOLO_IMAGES).get(tool, IMAGES)
    written = write_images(project, folder / place, flat=tool == 'yolo')
    files = {key: file for key, (file, _) in written.items()}
    sizes = {key: size for key, (_, size) in written.items()}
    project = project.with_boxes(sizes, None)
    if tool == 'cvat':
        write_coco(
            _for_cvat(project), folder / 'annotations.json', written, folder / place
        )
    else:
        _WRITERS[tool](project, folder, files)
    _log(project, path)
    return project


def _write_slp(project: Project, folder: Path, files: Mapping[str, Path]) -> None:
    write_slp(project, folder / 'labels.slp', files)


_WRITERS: Mapping[str, Callable[[Project, Path, Mapping[str, Path]], None]] = {
    'deeplabcut': write_deeplabcut,
    'sleap': _write_slp,
    'label-studio': write_label_studio,
    'yolo': write_yolo,
}


def _read(path: Path, options: ImportOptions) -> Project:
    """Read a project by the tool that it is of."""
    if not path.exists():
        raise DataError(f'the project {path} does not exist')
    images, skip = options.images, options.skip_missing
    if is_yolo(path):
        return read_yolo(path, options.keypoints)
    if is_project(path):
        return read_deeplabcut(path, images, skip)
    if path.suffix == '.json':
        content = read_json(path, 'the labels')
        if is_label_studio(content):
            return read_label_studio(path, images, skip)
        if isinstance(content, dict) and 'images' in content:
            return read_coco(path, images or path.parent, skip)
    return read_sleap(path, images, skip, options.predicted)


def _check_folder(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f'{folder} exists and is not empty, and nothing is overwritten: name '
            'another folder, or remove this one'
        )


def _in_category(project: Project, name: str) -> Project:
    images = [
        replace(
            image, instances=tuple(replace(i, category='') for i in image.instances)
        )
        for image in project.images
    ]
    return replace(project, category=name, images=tuple(images))


def _in_folders(project: Project) -> Project:
    """Put each image into the folder of one video, as DeepLabCut has them."""
    images = []
    for image in project.images:
        *folders, name = image.key.split('/')
        video = '__'.join(folders) or image.video or 'images'
        images.append(replace(image, key=f'{video}/{name}'))
    return replace(project, images=tuple(images))


def _for_cvat(project: Project) -> Project:
    """Leave the attributes that CVAT keeps: numbers, texts and flags."""

    def plain(instance: LabeledInstance) -> LabeledInstance:
        kept = {
            key: value
            for key, value in instance.attributes.items()
            if isinstance(value, (bool, int, float, str))
        }
        agreement = instance.attributes.get('keypoint_agreement')
        if agreement:
            seen = [a for a, v in zip(agreement, instance.visible, strict=True) if v]
            kept['agreement'] = round(sum(seen) / len(seen), 4)
        return replace(instance, attributes=kept)

    images = [
        replace(image, instances=tuple(map(plain, image.instances)))
        for image in project.images
    ]
    return replace(project, images=tuple(images))


def _log(project: Project, path: Path) -> None:
    names: Sequence[Any] = project.keypoints
    print_log(
        f'{path}: {project.count} instances on {len(project.images)} images, keypoints '
        f'{json.dumps(list(names), ensure_ascii=False)}',
        logger='current',
    )
    for note in project.notes:
        warn(f'{path}: {note}')
