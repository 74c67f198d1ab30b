"""COCO json of three keypoints."""

from __future__ import annotations

import copy

NAMES = ('nose', 'left_eye', 'right_eye')
INFO = dict(
    dataset_name='few',
    keypoint_info={
        i: dict(name=name, id=i, color=[0, 0, 0], type='', swap='')
        for i, name in enumerate(NAMES)
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.05] * 3,
)


def annotation(number, image=1, **changes):
    base = dict(
        id=number,
        image_id=image,
        category_id=1,
        bbox=[10, 10, 20, 20],
        keypoints=[12, 12, 2, 20, 20, 2, 28, 25, 1],
        num_keypoints=3,
        area=200.0,
        iscrowd=0,
    )
    return {k: v for k, v in {**base, **changes}.items() if v is not ...}


def coco(*annotations, **changes):
    images = [dict(id=i, file_name=f'{i}.jpg', width=64, height=48) for i in (1, 2, 3)]
    category = dict(id=1, name='person', keypoints=list(NAMES))
    content = dict(
        images=images, annotations=[*annotations], categories=[category], **changes
    )
    return copy.deepcopy(content)
