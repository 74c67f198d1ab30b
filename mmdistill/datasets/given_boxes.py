"""The boxes that unlabelled images have: detections, or each image its own box."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmdistill.datasets.boxes import MAX_BOXES, Boxes, read_boxes, stored_boxes
from mmdistill.datasets.following import Following, build_following
from mmdistill.datasets.source_list import SourceList
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.store_kind import DETECTIONS

BoxColumns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (n, 4), float32; scores (n,), float32; categories (n,), int32."""


class GivenBoxes(Protocol):
    """Boxes by the number of an image in the list they were read for."""

    @property
    def told(self) -> str:
        """Where they come from, for provenance."""

    @property
    def detector(self) -> Mapping[str, Any]:
        """What made them, as JSON values; empty if that is unknown."""

    @property
    def following(self) -> Following | None:
        """How boxes of frames change afterwards, if they do."""

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """The boxes of one image of this size."""

    def count(self, numbers: np.ndarray) -> int:
        """Boxes on some images, (n,)."""

    def sha256(self, numbers: np.ndarray) -> str:
        """Hash of what belongs to some images, in this order, (n,)."""


@dataclass(frozen=True)
class WholeImages:
    """Each image is one box with score 1, unless it is followed later."""

    told: str = 'the whole image'
    following: Following | None = None
    detector: Mapping[str, Any] = field(default_factory=dict)

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """The corners of the image."""
        whole = np.array([[0, 0, width, height]], dtype=np.float32)
        return whole, np.ones(1, dtype=np.float32), np.ones(1, dtype=np.int32)

    def count(self, numbers: np.ndarray) -> int:
        """As many as images."""
        return len(numbers)

    def sha256(self, numbers: np.ndarray) -> str:
        """What is told of them, which decides them."""
        return self.told


@dataclass(frozen=True)
class DetectedBoxes:
    """Detections, which an image may also have none of."""

    boxes: Boxes
    told: str
    detector: Mapping[str, Any] = field(default_factory=dict)
    following: Following | None = None

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """The detections of the image."""
        return self.boxes.of_image(number)

    def count(self, numbers: np.ndarray) -> int:
        """Detections on the images."""
        return int(np.diff(self.boxes.offsets)[numbers].sum())

    def sha256(self, numbers: np.ndarray) -> str:
        """Hash of the detections."""
        return self.boxes.sha256(numbers)


def given_boxes(
    images: SourceList,
    bbox_file: str | None,
    detections: str | None,
    category_ids: Collection[int] | None,
    follow: Mapping[str, Any] | None,
    max_boxes: int = MAX_BOXES,
) -> GivenBoxes:
    """Choose where boxes come from, by the arguments of `UnlabeledDataset`.

    Args:
        images: The images, before any is left out: boxes may name these too.
        bbox_file: Detections in MMPose's form, by its path as MMPose takes it.
        detections: A detection store instead.
        category_ids: Categories of the detections that count, by default all.
        follow: Settings of `Following`.
        max_boxes: Detections of an image that count, the best ones.

    Raises:
        UserError: If the detections do not fit, are followed as well, or there is no
            video to follow.
    """
    given = bbox_file or detections
    if given and follow is not None:
        raise UserError(f'boxes are given or followed, got follow and {given} too')
    if follow is not None:
        images.check_sequences()
        following = build_following(follow)
        return WholeImages(str(following), following)
    told = 'detections'
    if category_ids is not None:
        told += f' of the categories {sorted(category_ids)}'
    if bbox_file:
        return DetectedBoxes(
            read_boxes(Path(bbox_file), images.images, category_ids, max_boxes), told
        )
    if detections:
        store = LabelStore(detections, DETECTIONS)
        boxes = stored_boxes(store, images.keys.to_pylist(), category_ids, max_boxes)
        return DetectedBoxes(boxes, told, store.manifest['detector'])
    return WholeImages()
