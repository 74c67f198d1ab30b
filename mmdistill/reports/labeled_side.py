"""The labelled set as training sees it, to stand beside the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class LabeledSide:
    """`N` instances of `K` keypoints on `J` images.

    Attributes:
        per_image: Instances of each image, (J,).
        visible: Which keypoints of an instance are annotated, (N, K), bool.
    """

    per_image: np.ndarray
    visible: np.ndarray


def look_at_labeled(dataset: Any, num_images: int) -> LabeledSide:
    """Count instances of each image and keypoints of each instance.

    Args:
        dataset: A labelled data set of MMPose, of one sample an instance.
        num_images: Its images, those without an instance included.
    """
    infos = [dataset.get_data_info(number) for number in range(len(dataset))]
    _, counts = np.unique([int(info['img_id']) for info in infos], return_counts=True)
    bare = np.zeros(max(num_images - len(counts), 0), dtype=counts.dtype)
    visible = np.concatenate([info['keypoints_visible'] for info in infos])
    return LabeledSide(
        per_image=np.concatenate([counts, bare]),
        visible=visible.reshape(len(infos), -1) > 0,
    )
