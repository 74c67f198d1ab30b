"""Boxes of images, from detections: a store, or a file in MMPose's form."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmdistill.config.schema import UnlabeledConfig
from mmdistill.datasets.coco.annotations import boxes_of, read_structure
from mmdistill.datasets.detection_entries import Detection, read_detections
from mmdistill.datasets.detection_forms import (
    SizesOf,
    check_on_images,
    check_shares,
)
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.errors import DataError, StoreError
from mmdistill.store import LabelStore


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
        """Boxes (n, 4), scores (n,) and categories (n,) of one image.

        Args:
            number: Number of the image.
        """
        rows = slice(self.offsets[number], self.offsets[number + 1])
        return self.bboxes[rows], self.scores[rows], self.category_ids[rows]

    def sha256(self, numbers: np.ndarray) -> str:
        """Hash all that belongs to some images.

        Args:
            numbers: Numbers of the images, in this order, (n,).
        """
        digest = hashlib.sha256()
        for number in numbers:
            columns = self.of_image(number)
            digest.update(len(columns[0]).to_bytes(8, 'little'))
            for column in columns:
                digest.update(column.tobytes())
        return digest.hexdigest()


MAX_BOXES = UnlabeledConfig.max_boxes
"""Boxes of an image that are labeled by default; more are no crowd but a mistake."""


def read_boxes(
    path: Path,
    images: ImageList,
    category_ids: Collection[int] | None = None,
    max_boxes: int = MAX_BOXES,
    sizes_of: SizesOf | None = None,
) -> Boxes:
    """Read detections: a list of {image_id, category_id, bbox (xywh), score}.

    What cannot be labeled is left out, and counted in the log: boxes of images that
    are not listed, without extent, repeated, or beyond the best of a crowded image.

    Args:
        path: The json file.
        images: The images that the detections may name.
        category_ids: Categories that count; all of them by default.
        max_boxes: Boxes of an image that stay, the best ones.
        sizes_of: Reads the sizes of some images, where the list does not state them.

    Raises:
        UserError: If the file has another form, boxes in another form, a number that
            no detector gives, contradicts itself, or has no box for any of the images.
    """
    detections = read_detections(path)
    if not detections:
        raise DataError(
            f'the detection file {path} is an empty list, so there is nothing to '
            'label; without distill.unlabeled.bbox_file each image is one box'
        )
    chosen = _of_categories(path, detections, category_ids)
    numbers = _image_numbers(path, chosen, images)
    rows = [row for row, number in enumerate(numbers) if number is not None]
    owners = np.array([numbers[row] for row in rows], dtype=np.int64)
    extents = np.array([chosen[row].bbox for row in rows], dtype=np.float64)
    check_shares(path, extents)
    check_on_images(path, owners, extents, images, sizes_of)
    boxes = _by_image(
        owners,
        _corners([chosen[row].bbox for row in rows]),
        np.array([chosen[row].score for row in rows], dtype=np.float32),
        np.array([chosen[row].category_id for row in rows], dtype=np.int32),
        len(images),
    )
    boxes = _usable(f'the detection file {path}', boxes, max_boxes)
    if not len(boxes.scores):
        raise DataError(
            f'none of the {len(detections)} boxes of the detection file {path} has an '
            'extent, so there is nothing to label; boxes are [x, y, width, height]'
        )
    return boxes


def stored_boxes(
    store: LabelStore,
    paths: Sequence[str],
    category_ids: Collection[int] | None = None,
    max_boxes: int = MAX_BOXES,
) -> Boxes:
    """Read the boxes of images from a detection store.

    Args:
        store: A complete store; it may have further images.
        paths: The images.
        category_ids: Categories that count; all of them by default.
        max_boxes: Boxes of an image that stay, the best ones.

    Raises:
        UserError: If the store is not complete, or lacks one of the images.
    """
    held = store.read()
    indices = {path: index for index, path in enumerate(held.paths.to_pylist())}
    unknown = [path for path in paths if path not in indices]
    if unknown:
        raise StoreError(
            f'the detection store {store.root} lacks {len(unknown)} of the images, the '
            f'first is {unknown[0]}; continue with {store.kind.tool}'
        )
    numbers = np.full(len(indices), -1)
    numbers[[indices[path] for path in paths]] = np.arange(len(paths))
    candidates = held.candidates
    owners = numbers[held.image_index]
    stay = owners >= 0
    if category_ids is not None:
        stay &= np.isin(candidates.category_ids, list(category_ids))
    boxes = _by_image(
        owners[stay],
        candidates.bboxes[stay],
        candidates.bbox_scores[stay],
        candidates.category_ids[stay],
        len(paths),
    )
    return _usable(f'the detection store {store.root}', boxes, max_boxes)


def true_boxes(ann_file: Path) -> list[dict[str, Any]]:
    """The annotated boxes of a COCO json as detections with score 1.

    Args:
        ann_file: A COCO json; crowds are left out, boxes without size made of the
            points.

    Raises:
        UserError: If the file is missing or its annotations have another form.
    """
    content = read_structure(ann_file)
    return [
        {
            'image_id': annotation['image_id'],
            'category_id': annotation['category_id'],
            'bbox': box,
            'score': 1.0,
        }
        for annotation, box in boxes_of(content)
    ]


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


def _corners(boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """Boxes (x1, y1, x2, y2) of (x, y, width, height), (M, 4), float32."""
    xywh = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    return corners.astype(np.float32)


def _of_categories(
    path: Path, detections: Sequence[Detection], category_ids: Collection[int] | None
) -> Sequence[Detection]:
    if category_ids is None:
        return detections
    chosen = [each for each in detections if each.category_id in category_ids]
    if detections and not chosen:
        held = sorted({each.category_id for each in detections})
        raise DataError(
            f'no box of the detection file {path} is of the categories '
            f'{sorted(category_ids)}; it has those of {held}: set '
            'distill.unlabeled.category_ids'
        )
    return chosen


def _image_numbers(
    path: Path, detections: Sequence[Detection], images: ImageList
) -> list[int | None]:
    """Number of each box's image; None where it is not listed."""
    numbers = [_number_of(detection.image_id, images) for detection in detections]
    unknown = [
        detection.image_id
        for detection, number in zip(detections, numbers, strict=True)
        if number is None
    ]
    if unknown and len(unknown) == len(detections):
        named = ', '.join(repr(name) for name in dict.fromkeys(unknown[:3]))
        raise DataError(
            f'none of the {len(detections)} boxes of the detection file {path} is of '
            f'an unlabeled image: it calls images {named}, they are called '
            f'{_called(images)}'
        )
    if unknown:
        print_log(
            f'{len(unknown)} of {len(detections)} boxes of the detection file {path} '
            'are of images that are not labeled here, and are left out; the first is '
            f'of image_id {unknown[0]!r}',
            logger='current',
        )
    for detection, number in zip(detections, numbers, strict=True):
        if number is not None and detection.file_name:
            _check_file_name(path, detection, images.paths[number])
    return numbers


def _number_of(image_id: int | str, images: ImageList) -> int | None:
    number = images.numbers.get(image_id)
    if number is None and isinstance(image_id, str) and image_id.isdecimal():
        # Tools that write ids as texts mean the same images.
        number = images.numbers.get(int(image_id)) if len(image_id) < 20 else None
    if number is None and isinstance(image_id, str):
        # Paths are spelled with ./ or / in front, with //, or as on Windows.
        path = PurePosixPath('/', image_id.replace('\\', '/'))
        number = images.numbers.get(path.relative_to(path.anchor).as_posix())
    return number


def _called(images: ImageList) -> str:
    own = images.ids[0] if images.ids else None
    return repr(images.paths[0] if own is None else own) + ' and the like'


def _check_file_name(path: Path, detection: Detection, image: str) -> None:
    if PurePosixPath(detection.file_name).name != PurePosixPath(image).name:
        raise DataError(
            f'a box of the detection file {path} has image_id {detection.image_id!r}, '
            f'which is {image}, and the file_name {detection.file_name}: they '
            'contradict each other, so whose it is cannot be known'
        )


def _usable(what: str, boxes: Boxes, max_boxes: int) -> Boxes:
    """Leave out boxes without extent, repeated ones, and the worst of a crowd."""
    owners = np.repeat(np.arange(len(boxes.offsets) - 1), np.diff(boxes.offsets))
    stay = (boxes.bboxes[:, 2:] > boxes.bboxes[:, :2]).all(axis=1)
    _log_left_out(what, int((~stay).sum()), 'have no extent')
    # The best first, in the order of the file where scores are equal.
    order = np.lexsort((-boxes.scores, owners))
    order = order[stay[order]]
    keys = np.column_stack(
        [owners[order], boxes.category_ids[order], boxes.bboxes[order]]
    )
    _, firsts = np.unique(keys, axis=0, return_index=True)
    repeated = len(order) - len(firsts)
    _log_left_out(what, repeated, 'are there with a better score')
    order = order[np.sort(firsts)]
    starts = np.searchsorted(owners[order], owners[order])
    best = np.arange(len(order)) - starts < max_boxes
    _log_left_out(
        what,
        int((~best).sum()),
        f'are beyond the best {max_boxes} of their image (distill.unlabeled.max_boxes)',
    )
    # Back into the order of the file.
    kept = np.sort(order[best])
    counts = np.bincount(owners[kept], minlength=len(boxes.offsets) - 1)
    return Boxes(
        np.concatenate([[0], np.cumsum(counts)]),
        boxes.bboxes[kept],
        boxes.scores[kept],
        boxes.category_ids[kept],
    )


def _log_left_out(what: str, count: int, why: str) -> None:
    if count:
        print_log(f'{count} boxes of {what} are left out: they {why}', logger='current')
