"""Counting a labelled set the way training sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any

import numpy as np
from mmengine.fileio import load
from mmpose.registry import DATASETS

from mmdistill.errors import UserError
from mmdistill.labels.counts import LabeledCounts


def build_labeled(config: Mapping[str, Any]) -> Any:
    """Build a labelled data set to be counted.

    MMEngine can not serialise a set without samples and stops with an error of
    numpy's. Left as a list it is built, and can be refused with a sentence.

    Args:
        config: Config of the data set.

    Raises:
        UserError: If its annotations are no JSON.
    """
    try:
        return DATASETS.build({**config, 'serialize_data': False})
    except JSONDecodeError as error:
        raise UserError(
            f'the annotations {config.get("ann_file")} are not valid JSON: {error}'
        ) from error


def count_labeled(dataset: Any) -> LabeledCounts:
    """Count instances and images of a labelled top-down data set.

    Instances are the samples of the data set itself, so whatever its own filter
    drops (crowds, instances without keypoints) does not count here either.

    Args:
        dataset: A data set of MMPose, of one sample per instance.

    Raises:
        UserError: If it has no instance.
    """
    if len(dataset) == 0:
        raise UserError(
            f'the labelled set {dataset.ann_file} has no instance that would be '
            'trained on, so there is no count to match'
        )
    rows = [_row(dataset.get_data_info(number)) for number in range(len(dataset))]
    keys = np.array(sorted(rows), dtype=np.int64)
    annotated = len(np.unique(keys[:, 0]))
    categories, instances = np.unique(keys[:, 2], return_counts=True)
    return LabeledCounts(
        images=max(_listed_images(dataset), annotated),
        annotated_images=annotated,
        instances=len(keys),
        fingerprint=hashlib.sha256(keys.tobytes()).hexdigest(),
        categories=tuple(zip(categories.tolist(), instances.tolist(), strict=True)),
        keypoints=tuple(keys[:, 3:].sum(axis=0).tolist()),
    )


def _row(info: Mapping[str, Any]) -> tuple[int, ...]:
    """Image, instance, category, and for each keypoint whether it is visible."""
    visible = np.asarray(info['keypoints_visible']).reshape(-1) > 0
    category = int(info.get('category_id', 1))
    return (int(info['img_id']), int(info['id']), category, *visible.tolist())


def _listed_images(dataset: Any) -> int:
    """Images that the annotation file lists, those without instances included."""
    content = load(dataset.ann_file)
    return len(content.get('images', ())) if isinstance(content, dict) else 0
