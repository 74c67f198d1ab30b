"""Labeled sets whose poses fill a given share of their boxes."""

from __future__ import annotations

import json

import numpy as np

from tests.helpers.metainfo import COCO
from tests.helpers.noise_images import HEIGHT, WIDTH

TIGHT = (0.9, 0.8)


"""Shares of its box that a labeled pose fills."""


def spread(boxes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """17 keypoints from corner to corner of the middle of each box, (N, 17, 2)."""
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    steps = np.linspace(-0.5, 0.5, 17)[:, None]
    return (middle[:, None] + steps * (sides * shares)[:, None]).astype(np.float32)


def labeled_set(path, shares=TIGHT, boxes=((10, 10, 50, 40),) * 5) -> dict:
    """Config of a labeled set whose poses fill a share of their boxes."""
    corners = np.array(boxes, dtype=float)
    points = spread(corners, np.array(shares))
    content = dict(
        images=[
            dict(id=i, file_name=f'{i}.png', width=WIDTH, height=HEIGHT)
            for i in range(len(corners))
        ],
        annotations=[
            dict(
                id=i,
                image_id=i,
                category_id=1,
                iscrowd=0,
                area=100,
                num_keypoints=17,
                bbox=[*box[:2], *(box[2:] - box[:2])],
                keypoints=np.column_stack([p, np.full(17, 2)]).ravel().tolist(),
            )
            for i, (box, p) in enumerate(zip(corners, points, strict=True))
        ],
        categories=[dict(id=1, name='person')],
    )
    path.write_text(json.dumps(content))
    return dict(type='CocoDataset', ann_file=str(path), metainfo=COCO, pipeline=[])
