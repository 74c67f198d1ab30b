"""COCO json with its images, read and written, and metainfo for MMPose.

What is written trains as it is: boxes that no tool gave are those of the keypoints
with a margin, and each image has a file.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmdistill.datasets.coco.annotations import (
    CocoAnnotations,
    boxes_of,
    read_structure,
)
from mmdistill.datasets.coco.images import check_sizes, size_of_image
from mmdistill.datasets.coco.values import parse_keypoints
from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.boxes import Size
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.interchange.project import (
    MISSING,
    LabeledImage,
    LabeledInstance,
    Project,
    check_files,
)
from mmdistill.selection.exported_images import exported_names
from mmdistill.utils.files import write_bytes, write_json, write_whole
from mmdistill.utils.logging import log_progress

IMAGES = 'images'
SIGMA = 0.05
FORMAT = 'labels imported by mmdistill'


def write_images(
    project: Project, folder: Path, flat: bool = False
) -> dict[str, tuple[Path, Size]]:
    """Write the images of a project into a folder.

    Files are copied with their own bytes, frames are written as PNG, pixel by pixel.

    Args:
        project: The project.
        folder: The folder.
        flat: Whether no folders are made within it.

    Returns:
        File and size of each image, by its key.

    Raises:
        DataError: If an image cannot be read.
        UserError: If the disk refuses a file.
    """
    keys = [image.key for image in project.images]
    names = exported_names([key.replace('/', '__') if flat else key for key in keys])
    written = {}
    pairs = list(zip(project.images, names, strict=True))
    for image, name in log_progress(pairs, len(pairs), 'labeled images are written'):
        path = folder / name
        if isinstance(image.content, Path):
            write_whole(path, _copy_of(image.content))
        else:
            write_bytes(path, _png(image))
        size = size_of_image(path)
        if size is None:
            raise DataError(f'the labeled image {image.content} is no image that opens')
        written[image.key] = path, size
    return written


def check_space(project: Project, folder: Path) -> None:
    """Make sure that the disk has room for the images of a project.

    A frame is taken to be as large as the first.

    Args:
        project: The project.
        folder: The folder that they are written to, which need not exist.

    Raises:
        ConfigError: If there is less room than the images take.
    """
    files = [i.content for i in project.images if isinstance(i.content, Path)]
    frames = [i for i in project.images if not isinstance(i.content, Path)]
    needed = sum(file.stat().st_size for file in files)
    if frames:
        needed += len(frames) * len(_png(frames[0]))
    there = next(each for each in folder.absolute().parents if each.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise ConfigError(
            f'{len(project.images)} images take about {needed / 1e6:.0f} MB and '
            f'{there} has {free / 1e6:.0f} MB left: name a folder on another disk, or '
            'make room'
        )


def write_coco(
    project: Project, path: Path, images: Mapping[str, tuple[Path, Size]], root: Path
) -> None:
    """Write labels as COCO json.

    Args:
        project: The project; its instances must have boxes.
        path: The json.
        images: File and size of each image, by its key.
        root: Folder that file names are relative to.

    Raises:
        UserError: If the disk refuses the file.
    """
    categories = {name: number for number, name in enumerate(project.categories, 1)}
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(project.images, 1):
        file, size = images[image.key]
        entry = dict(
            id=number,
            file_name=file.relative_to(root).as_posix(),
            width=size[0],
            height=size[1],
            video=image.video,
        )
        entries.append(entry if image.frame is None else dict(entry, frame=image.frame))
        for instance in image.instances:
            category = categories[instance.category or project.category]
            own = dict(id=len(annotations) + 1, image_id=number, category_id=category)
            annotations.append({**own, **_annotation(instance)})
    write_json(
        path,
        dict(
            info=dict(description=FORMAT, version='1.0'),
            categories=[
                dict(
                    id=number,
                    name=name,
                    supercategory='',  # a parent to CVAT, and then no label
                    keypoints=list(project.keypoints),
                    skeleton=[[a + 1, b + 1] for a, b in project.skeleton],
                )
                for name, number in categories.items()
            ],
            images=entries,
            annotations=annotations,
        ),
    )


def read_coco(path: Path, images: Path, skip_missing: bool = False) -> Project:
    """Read a COCO json with keypoints, as a labeled set or an export has them.

    Args:
        path: The json.
        images: Folder that its file names are relative to.
        skip_missing: Whether images without a file are left out.

    Raises:
        DataError: If it names no keypoints, or images are missing or of another size.
    """
    json_file = read_structure(path)
    named = [c for c in json_file.content['categories'] if c.get('keypoints')]
    if not named:
        raise DataError(
            f'no category of {path} names its keypoints: add their names to it, a list '
            'called keypoints'
        )
    names = tuple(map(str, named[0]['keypoints']))
    others = {
        c['id']: str(c.get('name'))
        for c in named
        if tuple(map(str, c['keypoints'])) != names
    }
    check_sizes(json_file, lambda name: size_of_image(images / name), sys.maxsize)
    instances, left = _coco_instances(json_file, names, others)
    files = {
        image['file_name']: images / image['file_name'] for image in _images(json_file)
    }
    kept, note = check_files(f'the json {path}', files, skip_missing)
    labeled = [
        LabeledImage(
            image['file_name'],
            images / image['file_name'],
            tuple(instances.get(image['id'], ())),
            video=str(image.get('video') or image.get('source') or ''),
            size=size_of_image(images / image['file_name']),
        )
        for image in _images(json_file)
        if image['file_name'] in kept
    ]
    skeleton = named[0].get('skeleton') or ()
    project = Project(
        names,
        tuple(labeled),
        skeleton=tuple((int(a) - 1, int(b) - 1) for a, b in skeleton),
        category=str(named[0].get('name') or 'instance'),
    )
    return project.with_notes(
        note,
        f'{left} annotations are crowds or have no {len(names)} keypoints, and are '
        'left out'
        if left
        else '',
        'categories with other keypoints are left out: ' + ', '.join(others.values())
        if others
        else '',
    )


def metainfo_text(project: Project, name: str) -> str:
    """Write the metainfo of a project as a config of MMPose.

    Args:
        project: The project.
        name: Name of the data set.
    """
    swaps = {}
    for left, right in project.pairs:
        swaps[left], swaps[right] = project.keypoints[right], project.keypoints[left]
    lines = [
        '"""Keypoints of the imported labels, for `metainfo=dict(from_file=...)`.',
        '',
        f'No sigmas are known for them: all are {SIGMA}, about those of a wrist.',
        '"""',
        '',
        'dataset_info = dict(',
        f'    dataset_name={name!r},',
        '    keypoint_info={',
        *(
            f'        {n}: dict(name={keypoint!r}, id={n}, color=[255, 128, 0], '
            f"type='', swap={swaps.get(n, '')!r}),"
            for n, keypoint in enumerate(project.keypoints)
        ),
        '    },',
        '    skeleton_info={',
        *(
            f'        {n}: dict(link={(project.keypoints[a], project.keypoints[b])!r}, '
            f'id={n}, color=[0, 255, 0]),'
            for n, (a, b) in enumerate(project.skeleton)
        ),
        '    },',
        f'    joint_weights={[1.0] * len(project.keypoints)},',
        f'    sigmas={[SIGMA] * len(project.keypoints)},',
        ')',
    ]
    return '\n'.join(lines) + '\n'


def _copy_of(source: Path) -> Any:
    def copy(target: Path) -> None:
        shutil.copyfile(source, target)

    return copy


def _png(image: LabeledImage) -> bytes:
    # The lowest compression: a third more bytes in a fifth of the time.
    _, png = cv2.imencode('.png', _decoded(image), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return bytes(png.tobytes())


def _decoded(image: LabeledImage) -> np.ndarray:
    assert callable(image.content)
    try:
        return image.content()
    except (OSError, ValueError, IndexError, KeyError, RuntimeError) as error:
        raise DataError(
            f'frame {image.frame} of the labeled video {image.video} cannot be read: '
            f'{error}'
        ) from error


def _images(json_file: CocoAnnotations) -> Sequence[dict[str, Any]]:
    entries: Sequence[dict[str, Any]] = json_file.content['images']
    return entries


def _coco_instances(
    json_file: CocoAnnotations, names: Sequence[str], others: Collection[int]
) -> tuple[dict[int, list[LabeledInstance]], int]:
    """Instances by image, and the number of annotations that are none."""
    labels = {
        c['id']: str(c.get('name') or '') for c in json_file.content['categories']
    }
    boxes = {id(annotation): box for annotation, box in boxes_of(json_file)}
    instances: dict[int, list[LabeledInstance]] = {}
    left = 0
    for annotation in json_file.content['annotations']:
        if annotation['category_id'] in others:
            continue
        points, _ = parse_keypoints(
            annotation.get('keypoints'), len(names), json_file.changes
        )
        box = boxes.get(id(annotation))
        if points is None or box is None or not any(point[2] for point in points):
            left += 1
            continue
        rows = np.array(points, dtype=float)
        rows[rows[:, 2] == MISSING] = 0
        own = annotation.get('attributes')
        attributes = dict(own) if isinstance(own, dict) else {}
        for key in ('score', 'keypoint_scores', 'keypoint_agreement'):
            if key in annotation:
                attributes[key] = annotation[key]
        label = labels.get(annotation['category_id'], '')
        x, y, width, height = box
        instance = LabeledInstance(rows, (x, y, width, height), label, attributes)
        instances.setdefault(annotation['image_id'], []).append(instance)
    return instances, left


def _annotation(instance: LabeledInstance) -> dict[str, Any]:
    assert instance.bbox is not None  # `Project.with_boxes` gave it one
    box = list(instance.bbox)
    content: dict[str, Any] = dict(
        bbox=box,
        area=AREA_OF_BOX * box[2] * box[3],
        iscrowd=0,
        segmentation=[],
        num_keypoints=int(instance.visible.sum()),
        keypoints=[
            int(value) if column == 2 else value
            for row in instance.keypoints.tolist()
            for column, value in enumerate(row)
        ],
    )
    if instance.attributes:
        content['attributes'] = dict(instance.attributes)
    return content
