"""Boxes of unlabelled images, from detections: a store, or a file in MMPose's form."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.datasets.image_list import ImageList
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.files import read_json


@dataclass(frozen=True)
class Boxes:
    """Boxes of all images, image by image.

    Attributes:
        offsets: Image i has the boxes offsets[i] to offsets[i + 1], (I + 1,).
        bboxes: Boxes (x1, y1, x2, y2) in pixels of the image, (M, 4), float32.
        scores: Scores, (M,), float32.
        category_ids: Categories, (M,), int32.
    """

    offsets: np.ndarray
    bboxes: np.ndarray
    scores: np.ndarray
    category_ids: np.ndarray

    def of_image(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes (n, 4), scores (n,) and categories (n,) of one image."""
        rows = slice(self.offsets[number], self.offsets[number + 1])
        return self.bboxes[rows], self.scores[rows], self.category_ids[rows]

    def sha256(self, numbers: np.ndarray) -> str:
        """Hash of all that belongs to some images, in this order, (n,)."""
        digest = hashlib.sha256()
        for number in numbers:
            columns = self.of_image(number)
            digest.update(len(columns[0]).to_bytes(8, 'little'))
            for column in columns:
                digest.update(column.tobytes())
        return digest.hexdigest()


def read_boxes(
    path: Path, images: ImageList, category_ids: Collection[int] | None = None
) -> Boxes:
    """Read detections: a list of {image_id, category_id, bbox (xywh), score}.

    Args:
        path: The json file.
        images: The images that the detections may name.
        category_ids: Categories that count; all of them by default.

    Raises:
        UserError: If the file has another form, names an unknown image, or has a
            box that is not finite or not positive in size.
    """
    detections = read_json(path, 'the detection file')
    try:
        if not isinstance(detections, list):
            raise TypeError(f'a {type(detections).__name__}')
        if category_ids is not None:
            detections = [d for d in detections if d['category_id'] in category_ids]
        names = [d['image_id'] for d in detections]
        # Arrow refuses what does not fit; numpy would wrap it around.
        categories = pa.array([d.get('category_id', 1) for d in detections], pa.int32())
        xywh = np.array([d['bbox'] for d in detections], dtype=np.float64)
        scores = np.array([d['score'] for d in detections], dtype=np.float32)
        xywh = xywh.reshape(len(names), 4)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'the detection file {path} must be a list of {{image_id, category_id, '
            f'bbox: [x, y, width, height], score}}; wrong: {error}'
        ) from error
    numbers = _image_numbers(path, names, images)
    _check_boxes(path, names, xywh, scores)
    bboxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return _by_image(
        numbers, bboxes.astype(np.float32), scores, categories.to_numpy(), len(images)
    )


def stored_boxes(
    store: LabelStore,
    paths: Sequence[str],
    category_ids: Collection[int] | None = None,
) -> Boxes:
    """Read the boxes of images from a detection store.

    Args:
        store: A complete store; it may have further images.
        paths: The images.
        category_ids: Categories that count; all of them by default.

    Raises:
        UserError: If the store is not complete, or lacks one of the images.
    """
    held = store.read()
    places = {path: place for place, path in enumerate(held.paths.to_pylist())}
    unknown = [path for path in paths if path not in places]
    if unknown:
        raise UserError(
            f'the detection store {store.root} lacks {len(unknown)} of the images, the '
            f'first is {unknown[0]}; continue with {store.kind.tool}'
        )
    numbers = np.full(len(places), -1)
    numbers[[places[path] for path in paths]] = np.arange(len(paths))
    found = held.candidates
    owners = numbers[held.image_index]
    stay = owners >= 0
    if category_ids is not None:
        stay &= np.isin(found.category_ids, list(category_ids))
    return _by_image(
        owners[stay],
        found.bboxes[stay],
        found.bbox_scores[stay],
        found.category_ids[stay],
        len(paths),
    )


def true_boxes(ann_file: Path) -> list[dict[str, Any]]:
    """The annotated boxes of a COCO json as detections with score 1.

    Args:
        ann_file: A COCO json; crowds and boxes without size are left out.

    Raises:
        UserError: If the file is missing or its annotations have another form.
    """
    content = read_json(ann_file, 'the annotation file')
    try:
        return [
            {
                'image_id': annotation['image_id'],
                'category_id': annotation['category_id'],
                'bbox': annotation['bbox'],
                'score': 1.0,
            }
            for annotation in content['annotations']
            if not annotation.get('iscrowd') and min(annotation['bbox'][2:]) > 0
        ]
    except (KeyError, TypeError) as error:
        raise UserError(
            f'the annotation file {ann_file} must be a COCO json; missing: {error}'
        ) from error


def _by_image(
    numbers: np.ndarray,
    bboxes: np.ndarray,
    scores: np.ndarray,
    category_ids: np.ndarray,
    images: int,
) -> Boxes:
    order = np.argsort(numbers, kind='stable')
    counts = np.bincount(numbers, minlength=images)
    return Boxes(
        np.concatenate([[0], np.cumsum(counts)]),
        bboxes[order],
        scores[order],
        category_ids[order],
    )


def _image_numbers(path: Path, names: list, images: ImageList) -> np.ndarray:
    unknown = [name for name in names if name not in images.numbers]
    if unknown:
        raise UserError(
            f'the detection file {path} names {len(unknown)} boxes of unknown '
            f'images, the first has image_id {unknown[0]!r}'
        )
    return np.array([images.numbers[name] for name in names], dtype=np.int64)


def _check_boxes(path: Path, names: list, xywh: np.ndarray, scores: np.ndarray) -> None:
    finite = np.isfinite(xywh).all(axis=1) & np.isfinite(scores)
    positive = (xywh[:, 2:] > 0).all(axis=1)
    for good, rule in (
        (finite, 'numbers that are finite'),
        (positive, 'a width and height above 0'),
    ):
        if not good.all():
            row = int(np.argmin(good))
            raise UserError(
                f'the detection file {path} must give each box {rule}; image_id '
                f'{names[row]!r} has {xywh[row].tolist()} with score {scores[row]}'
            )
