"""Ground truth of drawn scenes as COCO json, in the form of MMPose's `CocoDataset`."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmdistill.toy.pose import KEYPOINT_NAMES
from mmdistill.toy.scene import OUT_OF_IMAGE, Figure

PERSON_ID = 1

# COCO's own limbs, 1-based as in its annotation files.
_SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13),
    (6, 7), (6, 8), (7, 9), (8, 10), (9, 11), (2, 3), (1, 2), (1, 3),
    (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip


def image_record(image_id: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the COCO record of an image.

    Args:
        image_id: From 1, also its file name.
        shape: Height, width and channels.

    Returns:
        An entry of COCO's `images`.
    """
    return {
        'id': image_id,
        'file_name': f'{image_id:06d}.jpg',
        'height': shape[0],
        'width': shape[1],
    }


def instance_record(image_id: int, order: int, figure: Figure) -> dict[str, Any]:
    """Return the COCO record of a figure.

    Args:
        image_id: Id of its image.
        order: Its index among the image's figures, from 0, at most 99.
        figure: Its ground truth; joints out of the image are written as zeros,
            as COCO does.

    Returns:
        An entry of COCO's `annotations`.
    """
    labeled = figure.visible != OUT_OF_IMAGE
    points = np.round(figure.keypoints, 2) * labeled[:, None]
    triples = np.concatenate([points, figure.visible[:, None]], axis=1)
    keypoints: list[float] = triples.ravel().tolist()
    keypoints[2::3] = figure.visible.tolist()
    return {
        'id': image_id * 100 + order,
        'image_id': image_id,
        'category_id': PERSON_ID,
        'bbox': figure.bbox.tolist(),
        'area': figure.area,
        'iscrowd': 0,
        'num_keypoints': int(labeled.sum()),
        'keypoints': keypoints,
    }


def coco_document(
    images: list[dict[str, Any]], annotations: list[dict[str, Any]] | None
) -> dict[str, Any]:
    """Assemble records into a COCO document.

    Args:
        images: Entries of `image_record`.
        annotations: Entries of `instance_record`, or None for a file that
            only lists images.

    Returns:
        A COCO document, ready for json.
    """
    person = {
        'id': PERSON_ID,
        'name': 'person',
        'supercategory': 'person',
        'keypoints': list(KEYPOINT_NAMES),
        'skeleton': [list(limb) for limb in _SKELETON],
    }
    document: dict[str, Any] = {
        'info': {'description': 'toy figures with the 17 COCO keypoints'},
        'images': images,
        'categories': [person],
    }
    if annotations is not None:
        document['annotations'] = annotations
    return document
