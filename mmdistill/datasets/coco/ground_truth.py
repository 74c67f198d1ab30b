"""True instances of images, read from a COCO json."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.errors import DataError
from mmdistill.functional.oks import TrueInstances
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.utils.files import listed_key, read_json


def read_truth(
    ann_file: Path,
    num_keypoints: int,
    categories: Mapping[str, int] | None = None,
) -> dict[str, TrueInstances]:
    """Read the true instances of every image of a COCO json.

    Crowds, instances with an `ignore` flag and those without an annotated keypoint
    count neither as detected nor as missed, as in the evaluation of COCO. Without
    keypoints instances are their boxes.

    Args:
        ann_file: The json.
        num_keypoints: Keypoints of an instance; 0 for boxes.
        categories: Classes that count, with their category ids among the candidates;
            those of the json when None. A single class of both may have two names.

    Returns:
        Instances by image key, also of images without any.

    Raises:
        UserError: If the file has another form or another number of keypoints.
    """
    content = read_json(ann_file, 'the annotation file')
    try:
        by_image = defaultdict(list)
        for annotation in _of_categories(content, categories):
            by_image[annotation['image_id']].append(annotation)
        return {
            listed_key(image['file_name']): _instances(
                by_image[image['id']], num_keypoints
            )
            for image in content['images']
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f'the annotation file {ann_file} must be a COCO json whose instances have '
            + (f'{num_keypoints} keypoints' if num_keypoints else 'boxes')
            + f'; wrong: {error}'
        ) from error


def _of_categories(
    content: Mapping[str, Any], categories: Mapping[str, int] | None
) -> list[Mapping[str, Any]]:
    """Annotations of the classes that count, with the candidates' category ids."""
    if categories is None:
        return list(content['annotations'])
    names = {each['id']: each['name'] for each in content['categories']}
    if len(names) == len(categories) == 1:
        wanted = dict.fromkeys(names, *categories.values())
    else:
        wanted = {
            n: categories[name] for n, name in names.items() if name in categories
        }
    if not wanted:
        raise ValueError(
            f'its categories are {", ".join(names.values()) or "none"}, and the labels '
            f'are of {", ".join(categories)}'
        )
    return [
        {**annotation, 'category_id': wanted[annotation['category_id']]}
        for annotation in content['annotations']
        if annotation['category_id'] in wanted
    ]


def _instances(
    annotations: Sequence[Mapping[str, Any]], num_keypoints: int
) -> TrueInstances:
    count = len(annotations)
    no_keypoints = [0.0] * (3 * num_keypoints)
    listed = [a.get('keypoints', no_keypoints) for a in annotations]
    keypoints = np.array(listed if num_keypoints else [], dtype=np.float64).reshape(
        count, num_keypoints, 3
    )
    xywh = np.array([a['bbox'] for a in annotations], dtype=np.float64).reshape(-1, 4)
    areas = [a.get('area') for a in annotations]
    from_boxes = AREA_OF_BOX * xywh[:, 2:].prod(axis=1)
    crowd = np.array([bool(a.get('iscrowd')) for a in annotations], dtype=bool)
    ignored = np.array([bool(a.get('ignore')) for a in annotations], dtype=bool)
    labeled = keypoints[..., 2] > 0
    without = ~labeled.any(axis=1) if num_keypoints else np.zeros(count, dtype=bool)
    return TrueInstances(
        keypoints=keypoints[..., :2],
        labeled=labeled,
        areas=np.array(
            [
                box_area if area is None else area
                for area, box_area in zip(areas, from_boxes, strict=True)
            ],
            dtype=np.float64,
        ),
        bboxes=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        ignored=crowd | ignored | without,
        crowd=crowd,
        category_ids=np.array([a.get('category_id', 1) for a in annotations], np.int32),
    )
