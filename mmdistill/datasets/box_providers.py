"""Providers of boxes of unlabeled images: detections, or each image whole."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmdistill.datasets.box_tracker import BoxTracker, build_box_tracker
from mmdistill.datasets.boxes import MAX_BOXES, Boxes, read_boxes, stored_boxes
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.source_list import SourceList
from mmdistill.errors import ConfigError
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS

BoxColumns = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Boxes (n, 4), float32; scores (n,), float32; categories (n,), int32."""


class BoxProvider(Protocol):
    """Boxes by the number of an image in the list they were read for."""

    @property
    def description(self) -> str:
        """Their origin, for provenance."""

    @property
    def detector(self) -> Mapping[str, Any]:
        """The detector that made them, as JSON values; empty if it is unknown."""

    @property
    def tracker(self) -> BoxTracker | None:
        """Tracker that changes boxes of frames afterwards, if there is one."""

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """The boxes of one image.

        Args:
            number: Number of the image.
            width: Its width, pixels.
            height: Its height, pixels.

        Returns:
            Boxes (x1, y1, x2, y2) in pixels of the image, scores and categories.
        """

    def count(self, numbers: np.ndarray) -> int:
        """Count the boxes on some images.

        Args:
            numbers: Numbers of the images, (n,).
        """

    def sha256(self, numbers: np.ndarray) -> str:
        """Hash what belongs to some images.

        Args:
            numbers: Numbers of the images, in this order, (n,).
        """


@dataclass(frozen=True)
class FullImageBoxes:
    """Each image is one box with score 1, unless it is followed later."""

    description: str = 'the whole image'
    tracker: BoxTracker | None = None
    detector: Mapping[str, Any] = field(default_factory=dict)

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """The corners of the image, see `BoxProvider.of_image`."""
        whole = np.array([[0, 0, width, height]], dtype=np.float32)
        return whole, np.ones(1, dtype=np.float32), np.ones(1, dtype=np.int32)

    def count(self, numbers: np.ndarray) -> int:
        """The number of images, see `BoxProvider.count`."""
        return len(numbers)

    def sha256(self, numbers: np.ndarray) -> str:
        """The description instead of a hash: it decides the boxes."""
        return self.description


@dataclass(frozen=True)
class NoBoxes:
    """No box on any image, for a teacher that finds the instances itself."""

    description: str = 'none, the teacher finds the instances'
    tracker: BoxTracker | None = None
    detector: Mapping[str, Any] = field(default_factory=dict)

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """No box, see `BoxProvider.of_image`."""
        none = np.zeros(0, dtype=np.float32)
        return none.reshape(0, 4), none, none.astype(np.int32)

    def count(self, numbers: np.ndarray) -> int:
        """0, see `BoxProvider.count`."""
        return 0

    def sha256(self, numbers: np.ndarray) -> str:
        """The description instead of a hash: it decides the boxes."""
        return self.description


@dataclass(frozen=True)
class DetectedBoxes:
    """Detections, which an image may also have none of."""

    boxes: Boxes
    description: str
    detector: Mapping[str, Any] = field(default_factory=dict)
    tracker: BoxTracker | None = None

    def of_image(self, number: int, width: int, height: int) -> BoxColumns:
        """The detections of the image, see `BoxProvider.of_image`."""
        return self.boxes.of_image(number)

    def count(self, numbers: np.ndarray) -> int:
        """Detections on the images, see `BoxProvider.count`."""
        return int(np.diff(self.boxes.offsets)[numbers].sum())

    def sha256(self, numbers: np.ndarray) -> str:
        """Hash of the detections, see `BoxProvider.sha256`."""
        return self.boxes.sha256(numbers)


def build_box_provider(
    images: SourceList,
    bbox_file: str | None,
    detections: str | None,
    category_ids: Collection[int] | None,
    follow: Mapping[str, Any] | None,
    max_boxes: int = MAX_BOXES,
    reader: ImageReader | None = None,
    with_boxes: bool = True,
) -> BoxProvider:
    """Choose where boxes come from, by the arguments of `UnlabeledDataset`.

    Args:
        images: The images, before any is left out: boxes may name these too.
        bbox_file: Detections in MMPose's form, by its path as MMPose takes it.
        detections: A detection store instead.
        category_ids: Categories of the detections that count, by default all.
        follow: Settings of `BoxTracker`.
        max_boxes: Detections of an image that count, the best ones.
        reader: Reads some images, to compare a detection file with their sizes.
        with_boxes: Whether images have boxes.

    Raises:
        UserError: If the detections do not fit, are followed as well, or there is no
            video to follow, or they are given where images have none.
    """
    detected = bbox_file or detections
    if not with_boxes:
        if detected or follow is not None:
            raise ConfigError(
                'images of a teacher that finds the instances itself have no boxes, '
                f'got {detected or "follow"}'
            )
        return NoBoxes()
    if detected and follow is not None:
        raise ConfigError(f'boxes are given or followed, got follow and {detected} too')
    if follow is not None:
        images.check_sequences()
        tracker = build_box_tracker(follow)
        return FullImageBoxes(str(tracker), tracker)
    description = 'detections'
    if category_ids is not None:
        description += f' of the categories {sorted(category_ids)}'
    if bbox_file:
        sizes_of = None
        if reader is not None:
            sizes_of = functools.partial(images.sizes, reader=reader)
        boxes = read_boxes(
            Path(bbox_file), images.images, category_ids, max_boxes, sizes_of
        )
        return DetectedBoxes(boxes, description)
    if detections:
        store = LabelStore(detections, DETECTIONS)
        boxes = stored_boxes(store, images.keys.to_pylist(), category_ids, max_boxes)
        return DetectedBoxes(boxes, description, store.manifest['detector'])
    return FullImageBoxes()
