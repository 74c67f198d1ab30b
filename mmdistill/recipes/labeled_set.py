"""A labeled set as a recipe is made for: its names, images, boxes and poses."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.datasets.coco.annotations import read_annotations, read_structure
from mmdistill.datasets.coco.images import check_sizes, size_of_image
from mmdistill.datasets.splits import images_beside
from mmdistill.errors import DataError
from mmdistill.functional.pose_rotations import pose_rotations

MAX_LISTED = 3
"""Maximum number of missing images that a sentence names."""
TURNED = 30.0
"""Degrees from which on a pose counts as turned."""


@dataclass(frozen=True)
class LabeledSet:
    """Labeled images and their trained instances.

    Attributes:
        path: The COCO json.
        img_root: Folder of its images.
        names: Names of the keypoints, (K,).
        category: Name of what is annotated.
        bones: Numbers of keypoints that the json joins, from 0.
        content: The json in the form that MMPose reads.
        boxes: Boxes (x, y, width, height), pixels, (N, 4).
        image_sizes: Width and height of each instance's image, pixels, (N, 2).
        points: Keypoints (x, y), pixels, (N, K, 2).
        visible: Mask of the annotated keypoints, (N, K), bool.
        trained_images: Id of each instance's image, (N,).
        notes: Sentence about annotations that are not trained on; empty if all are.
    """

    path: Path
    img_root: Path
    names: tuple[str, ...]
    category: str
    bones: tuple[tuple[int, int], ...]
    content: Mapping[str, Any]
    boxes: np.ndarray
    image_sizes: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    trained_images: tuple[int, ...]
    notes: str

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def images(self) -> Sequence[Mapping[str, Any]]:
        """Images of the json."""
        images: Sequence[Mapping[str, Any]] = self.content['images']
        return images

    @property
    def files(self) -> list[Path]:
        """Files of the images, in the order of the json."""
        return [self.img_root / image['file_name'] for image in self.images]

    @cached_property
    def long_sides(self) -> np.ndarray:
        """Longer side of each box, pixels, (N,)."""
        sides: np.ndarray = self.boxes[:, 2:].max(axis=1)
        return sides

    @property
    def median_side(self) -> float:
        """Median of the longer sides, pixels."""
        return float(np.median(self.long_sides))

    @property
    def aspect(self) -> float:
        """Median of width over height of the boxes."""
        return float(np.median(self.boxes[:, 2] / self.boxes[:, 3]))

    @property
    def wide_share(self) -> float:
        """Share of boxes that are wider than high."""
        return float((self.boxes[:, 2] > self.boxes[:, 3]).mean())

    @property
    def cover(self) -> float:
        """Median share of its image that a box covers."""
        areas = self.boxes[:, 2:].prod(axis=1) / self.image_sizes.prod(axis=1)
        return float(np.median(areas))

    @property
    def median_size(self) -> tuple[float, float]:
        """Median width and height of the images, pixels."""
        width, height = np.median(self.image_sizes, axis=0)
        return float(width), float(height)

    @property
    def most_on_an_image(self) -> int:
        """Trained instances on the image that has most of them."""
        return max(Counter(self.trained_images).values())

    @cached_property
    def turned_share(self) -> float:
        """Share of instances that are turned against the mean pose."""
        turns = pose_rotations(self.points, self.visible)
        known = turns[~np.isnan(turns)]
        return float((abs(known) > TURNED).mean()) if len(known) else 0.0


def read_labeled_set(
    path: Path,
    role: str,
    img_root: Path | None = None,
    keypoints: Sequence[str] | None = None,
    flag: str = '--images',
) -> LabeledSet:
    """Read a labeled set, strictly.

    Args:
        path: The COCO json.
        role: Role of the set, for messages.
        img_root: Folder of its images; None to search it beside the json.
        keypoints: Names of its keypoints, where the json has none.
        flag: Option that names `img_root`, for messages.

    Raises:
        DataError: If the json contradicts itself, names no keypoints, has no instance
            to train on, or images are missing.
    """
    structure = read_structure(path)
    images = structure.content['images']
    if not images:
        raise DataError(f'the {role} set {path} lists no image')
    root = img_root or folder_of_images(path, images[0]['file_name'])
    if root is None:
        raise DataError(
            f'the images of the {role} set {path} are not beside it: name their folder '
            f'with {flag}; the first is {images[0]["file_name"]}'
        )
    category = _category(path, structure.content)
    names = tuple(keypoints or category.get('keypoints') or ())
    _check_names(role, path, names, structure.content['annotations'])
    json_file = read_annotations(path, names, lambda name: size_of_image(root / name))
    content = json_file.content
    _find_images(role, path, content, root, flag)
    check_sizes(json_file, lambda name: size_of_image(root / name))
    rejected = {number for ids in json_file.rejected.values() for number in ids}
    trained = [a for a in content['annotations'] if a['id'] not in rejected]
    if not trained:
        raise DataError(
            f'the {role} set has no instance to train on: {json_file.summary()}'
        )
    sizes = {image['id']: (image['width'], image['height']) for image in images}
    points = np.array([a['keypoints'] for a in trained], dtype=np.float64)
    points = points.reshape(len(trained), len(names), 3)
    return LabeledSet(
        path=path,
        img_root=root,
        names=names,
        category=str(category.get('name') or 'instance'),
        bones=_bones(category, len(names)),
        content=content,
        boxes=np.array([a['bbox'] for a in trained], dtype=np.float64),
        image_sizes=np.array([sizes[a['image_id']] for a in trained], dtype=np.float64),
        points=points[..., :2],
        visible=points[..., 2] > 0,
        trained_images=tuple(a['image_id'] for a in trained),
        notes=json_file.summary() if json_file.rejected or json_file.changes else '',
    )


def folder_of_images(ann_file: Path, name: str) -> Path | None:
    """Find the folder of the images of a json, as the path of the json is typed.

    Args:
        ann_file: The COCO json.
        name: File name of one of its images.

    Returns:
        The folder: the json's own, `images` in it, one in the layout of COCO, or one
        of the json's name in `images`; None if the image is in none of them.
    """
    above = Path(os.path.normpath(ann_file.parent / '..'))
    for folder in (
        *(ann_file.parent / 'images', ann_file.parent),
        *(above / ann_file.stem.rpartition('_')[2], above / 'images' / ann_file.stem),
        *(above / 'images', above),
    ):
        if (folder / name).is_file():
            return folder
    return images_beside(ann_file, [dict(file_name=name)])


def _category(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The category that has keypoints; of several with the same ones the first."""
    used = {annotation.get('category_id') for annotation in content['annotations']}
    named = [
        category
        for category in content['categories']
        if isinstance(category.get('keypoints'), list) and category['keypoints']
    ]
    named = [category for category in named if category['id'] in used] or named
    for category in named:
        if category['keypoints'] != named[0]['keypoints']:
            raise DataError(
                f'the categories {named[0].get("name")} and {category.get("name")} of '
                f'{path} have different keypoints, and a recipe has one list: keep the '
                'annotations of one of them in the json'
            )
    if named:
        return named[0]
    return next(iter(content['categories']), {})


def _check_names(
    role: str, path: Path, names: Sequence[Any], annotations: Sequence[Any]
) -> None:
    """Check that keypoints have names of their own."""
    if not names:
        lengths = [len(a['keypoints']) // 3 for a in annotations if a.get('keypoints')]
        if not lengths:
            raise DataError(
                f'the {role} set {path} has no annotation with keypoints, got '
                f'{len(annotations)} annotations'
            )
        raise DataError(
            f'the categories of {path} name no keypoints, its annotations have '
            f'{lengths[0]} each: name them in their order with --keypoints NAME NAME …'
        )
    texts = [name for name in names if isinstance(name, str) and name.strip()]
    if len(texts) < len(names):
        raise DataError(
            f'the keypoints of {path} must have texts as names, got {list(names)!r}: '
            'name them in their order with --keypoints NAME NAME …'
        )
    repeated = next((name for name in names if texts.count(name) > 1), None)
    if repeated is not None:
        raise DataError(
            f'the keypoints of {path} must have names of their own, {repeated!r} is '
            'there twice: name them in their order with --keypoints NAME NAME …'
        )


def _find_images(
    role: str, path: Path, content: Mapping[str, Any], root: Path, flag: str
) -> None:
    """Check that the images with annotations exist."""
    annotated = {annotation['image_id'] for annotation in content['annotations']}
    missing = []
    for image in content['images']:
        name = image['file_name']
        with_slashes = name.replace('\\', '/')
        if not (root / name).is_file() and (root / with_slashes).is_file():
            image['file_name'] = with_slashes
        elif not (root / name).is_file() and image['id'] in annotated:
            missing.append(name)
    if missing:
        listed = ', '.join(missing[:MAX_LISTED])
        raise DataError(
            f'{len(missing)} of {len(annotated)} annotated images of the {role} set '
            f'{path} are not below {root}/, the first: {listed}; '
            + _remedy(path, missing, len(annotated), flag)
        )


def _remedy(path: Path, missing: Sequence[str], annotated: int, flag: str) -> str:
    """The way on from images that are missing: another folder, or without them."""
    folder = folder_of_images(path, missing[0])
    if folder is not None:
        return f'they are below another folder: {flag} {folder}'
    if len(missing) < annotated:
        return 'put them there, or take them and their annotations out of the json'
    return f'name the folder that its file names begin in with {flag}'


def _bones(category: Mapping[str, Any], number: int) -> tuple[tuple[int, int], ...]:
    """Bones of a COCO category, counted from 0; none where it states no valid ones."""
    skeleton = category.get('skeleton')
    if not isinstance(skeleton, list):
        return ()
    bones = []
    for bone in skeleton:
        is_pair = isinstance(bone, list) and len(bone) == 2
        if not is_pair or not all(
            type(end) is int and 1 <= end <= number for end in bone
        ):
            return ()
        bones.append((bone[0] - 1, bone[1] - 1))
    return tuple(bones)
