"""Counting a labelled set the way training sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.fileio import load
from mmpose.registry import DATASETS

from mmdistill.errors import UserError
from mmdistill.labels.selection import LabeledCounts


def build_labeled(config: Mapping[str, Any]) -> Any:
    """Build a labelled data set to be counted.

    MMEngine can not serialise a set without samples and stops with an error of
    numpy's. Left as a list it is built, and can be refused with a sentence.

    Args:
        config: Config of the data set.
    """
    return DATASETS.build({**config, 'serialize_data': False})


def count_labeled(dataset: Any) -> LabeledCounts:
    """Count instances and images of a labelled top-down data set.

    Instances are the samples of the data set itself, so whatever its own filter
    drops (crowds, instances without keypoints) does not count here either.

    Args:
        dataset: A data set of MMPose, of one sample per instance.

    Raises:
        UserError: If it has no instance.
    """
    keys = []
    for number in range(len(dataset)):
        info = dataset.get_data_info(number)
        keys.append((int(info['img_id']), int(info['id'])))
    pairs = np.array(sorted(keys), dtype=np.int64).reshape(-1, 2)
    if len(pairs) == 0:
        raise UserError(
            f'the labelled set {dataset.ann_file} has no instance that would be '
            'trained on, so there is no count to match'
        )
    annotated = len(np.unique(pairs[:, 0]))
    return LabeledCounts(
        images=max(_listed_images(dataset), annotated),
        annotated_images=annotated,
        instances=len(pairs),
        fingerprint=hashlib.sha256(pairs.tobytes()).hexdigest(),
    )


def _listed_images(dataset: Any) -> int:
    """Images that the annotation file lists, those without instances included."""
    content = load(dataset.ann_file)
    return len(content.get('images', ())) if isinstance(content, dict) else 0
