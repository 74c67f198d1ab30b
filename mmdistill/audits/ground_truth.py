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


def read_truth(ann_file: Path, num_keypoints: int) -> dict[str, TrueInstances]:
    """Read the true instances of every image of a COCO json.

    Crowds, instances with an `ignore` flag and those without an annotated keypoint
    count neither as detected nor as missed, as in the evaluation of COCO.

    Args:
        ann_file: The json.
        num_keypoints: Keypoints of an instance.

    Returns:
        Instances by image key, also of images without any.

    Raises:
        UserError: If the file has another form or another number of keypoints.
    """
    content = read_json(ann_file, 'the annotation file')
    try:
        by_image = defaultdict(list)
        for annotation in content['annotations']:
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
            f'{num_keypoints} keypoints; wrong: {error}'
        ) from error


def _instances(
    annotations: Sequence[Mapping[str, Any]], num_keypoints: int
) -> TrueInstances:
    count = len(annotations)
    no_keypoints = [0.0] * (3 * num_keypoints)
    keypoints = np.array(
        [a.get('keypoints', no_keypoints) for a in annotations], dtype=np.float64
    ).reshape(count, num_keypoints, 3)
    xywh = np.array([a['bbox'] for a in annotations], dtype=np.float64).reshape(-1, 4)
    areas = [a.get('area') for a in annotations]
    from_boxes = AREA_OF_BOX * xywh[:, 2:].prod(axis=1)
    crowd = np.array([bool(a.get('iscrowd')) for a in annotations], dtype=bool)
    ignored = np.array([bool(a.get('ignore')) for a in annotations], dtype=bool)
    labeled = keypoints[..., 2] > 0
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
        ignored=crowd | ignored | ~labeled.any(axis=1),
        crowd=crowd,
        category_ids=np.array([a.get('category_id', 1) for a in annotations], np.int32),
    )
