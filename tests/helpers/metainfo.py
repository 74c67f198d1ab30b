"""Metainfo of the 17 COCO keypoints, and of three."""

from __future__ import annotations

import numpy as np

COCO = dict(from_file='configs/_base_/datasets/coco.py')
SIGMAS = np.full(17, 0.05)
"""Equal sigmas, by which every keypoint counts alike."""
THREE_KEYPOINTS = dict(
    dataset_name='three',
    keypoint_info={
        number: dict(name=name, id=number, color=[0, 0, 0], type='', swap=swap)
        for number, (name, swap) in enumerate((('a', ''), ('b', 'c'), ('c', 'b')))
    },
    skeleton_info={},
    joint_weights=[1.0] * 3,
    sigmas=[0.05] * 3,
)
"""Metainfo of three keypoints, of which two are mirrored onto each other."""
