"""Rules that decide which images of a COCO json are the labeled set of a split."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from mmdistill.errors import DataError


@dataclass(frozen=True)
class LabeledSide:
    """Labeled side of a split.

    Attributes:
        images: Ids of the labeled images.
        annotations: Ids of the annotations that are kept on them; all when None.
        rule: Description of the rule, for the manifest.
    """

    images: set[int]
    annotations: set[int] | None
    rule: str


def first_instances(content: Mapping[str, Any], count: int) -> LabeledSide:
    """Take the first instances that MMPose trains on, in its order.

    The order is that of the images in the json, as in the semi-supervised pose papers
    that take the first 1,000, 5,000 or 10,000 of COCO. The last image keeps only the
    annotations that complete the count.

    Args:
        content: A COCO json.
        count: Number of instances.

    Raises:
        UserError: If there are fewer.
    """
    chosen: list[dict[str, Any]] = []
    for annotation in _trained(content):
        if len(chosen) == count:
            break
        chosen.append(annotation)
    if not 1 <= count <= len(chosen):
        raise DataError(
            f'a split of {count} instances needs at least as many, and one; the json '
            f'has {sum(1 for _ in _trained(content))} that MMPose trains on'
        )
    images = {annotation['image_id'] for annotation in chosen}
    ids = {annotation['id'] for annotation in chosen}
    return LabeledSide(images, ids, f'the first {count} instances')


def listed_images(content: Mapping[str, Any], listed: Collection[int]) -> LabeledSide:
    """Take the images that another json lists, by id.

    COCO's 2014 jsons name co-80 (train) and co-35 (val) among train2017.

    Args:
        content: A COCO json.
        listed: Ids of images, of this json or not.

    Raises:
        UserError: If none or all of the json's images are listed.
    """
    images = {image['id'] for image in content['images']} & set(listed)
    check_both_sides(images, content, 'the list')
    return LabeledSide(images, None, 'the images of a list')


def random_images(
    content: Mapping[str, Any], count: int, seed: int, subject: str | None = None
) -> LabeledSide:
    """Draw images at random, or all images of subjects drawn at random.

    A larger count with the same seed contains the images of a smaller one.

    Args:
        content: A COCO json.
        count: Number of images, or of subjects.
        seed: Seed of the draw.
        subject: Field of an image that names its subject (a person, an animal, a
            video); 'folder' is the folder of its file name. None draws images.

    Raises:
        UserError: If an image has no such field, or one side would be empty.
    """
    name = _subject_of(subject) if subject else (lambda image: image['id'])
    groups: dict[Any, set[int]] = {}
    for image in content['images']:
        groups.setdefault(name(image), set()).add(image['id'])
    order = np.random.default_rng(seed).permutation(len(groups))
    keys = list(groups)
    drawn = [groups[keys[i]] for i in order[: max(count, 0)]]
    images = set().union(*drawn)
    check_both_sides(images, content, f'a draw of {count} among {len(groups)}')
    unit = f'subjects ({subject})' if subject else 'images'
    return LabeledSide(images, None, f'{count} {unit} at random, seed {seed}')


def percent_of_images(
    content: Mapping[str, Any], percent: float, fold: int
) -> LabeledSide:
    """Draw a percentage of the images, as SoftTeacher and MMDetection do.

    They draw with replacement, so that the images are somewhat fewer than the
    percentage, and fold 1 of 5 % is not part of fold 1 of 10 %.

    Args:
        content: A COCO json.
        percent: Percentage of the images that is drawn.
        fold: Number of the fold, from 1, which seeds the draw.

    Raises:
        UserError: If one side would be empty, or the fold is below 0.
    """
    ids = [image['id'] for image in content['images']]
    if fold < 0:
        raise DataError(f'a fold of images has a number of at least 0, got {fold}')
    draws = int(percent / 100.0 * len(ids))
    drawn = np.random.RandomState(fold).choice(len(ids), size=max(draws, 0))
    images = {ids[index] for index in drawn.tolist()}
    check_both_sides(images, content, f'{percent:g} % of {len(ids)}')
    return LabeledSide(images, None, f'{percent:g} % of the images, fold {fold}')


def _trained(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The annotations that MMPose's top-down data sets train on, in their order."""
    by_image: dict[int, list[dict[str, Any]]] = {
        image['id']: [] for image in content['images']
    }
    for annotation in content['annotations']:
        by_image.setdefault(annotation['image_id'], []).append(annotation)
    for image in content['images']:
        for annotation in by_image[image['id']]:
            if _is_trained(annotation, image):
                yield annotation


def _is_trained(annotation: Mapping[str, Any], image: Mapping[str, Any]) -> bool:
    if annotation.get('iscrowd') or not {'bbox', 'keypoints'} <= set(annotation):
        return False
    keypoints = annotation['keypoints']
    visible = sum(flag > 0 for flag in keypoints[2::3])
    if annotation.get('num_keypoints', visible) == 0:
        return False
    x, y, width, height = annotation['bbox']
    right, bottom = image['width'] - 1, image['height'] - 1
    inside = (
        _clipped_length(x, width, right) > 0 and _clipped_length(y, height, bottom) > 0
    )
    return inside and max(*keypoints[::3], *keypoints[1::3]) > 0


def _clipped_length(start: float, extent: float, last: float) -> float:
    return min(max(start + extent, 0), last) - min(max(start, 0), last)


def _subject_of(field: str) -> Callable[[Mapping[str, Any]], Any]:
    def name(image: Mapping[str, Any]) -> Any:
        if field == 'folder':
            return str(PurePosixPath(image['file_name']).parent)
        if field not in image:
            raise DataError(
                f'a split by subject needs the field {field} in each image, the image '
                f'{image["file_name"]} has {", ".join(sorted(image))}'
            )
        return image[field]

    return name


def check_both_sides(
    images: Collection[int], content: Mapping[str, Any], rule: str
) -> None:
    """Check that a split leaves images on both sides.

    Args:
        images: Ids of the labeled images.
        content: The COCO json.
        rule: Description of the rule, for the error message.

    Raises:
        UserError: If one side is empty.
    """
    total = len(content['images'])
    if not 0 < len(images) < total:
        raise DataError(
            f'both sides of a split need images, {rule} takes {len(images)} of {total}'
        )
