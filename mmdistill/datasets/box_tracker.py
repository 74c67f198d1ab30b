"""Boxes of video frames propagated from the keypoints of the previous frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmdistill.config.schema import FollowConfig
from mmdistill.errors import ConfigError
from mmdistill.functional.boxes import propagate_box
from mmdistill.store import ImageRow


@dataclass(frozen=True)
class BoxTracker:
    """Tracker that propagates the box of a single animal from frame to frame.

    The whole frame is the box where there is no pose in the previous frame: at the
    start of a video and of a chunk of the store, after frames that are left out or do
    not decode, and where the animal was lost.

    Attributes:
        padding: Factor by which the longer side of the box around the keypoints
            grows; the crop adds the model's own padding.
        score_thr: Score above which a keypoint counts; an animal with less than half
            of its keypoints is lost.

    Raises:
        UserError: If an option is out of its range.
    """

    padding: float = FollowConfig.padding
    score_thr: float = FollowConfig.score_thr

    def __post_init__(self) -> None:
        if not self.padding >= 1:
            raise ConfigError(
                f'follow.padding must be at least 1, got {self.padding!r}'
            )
        if not 0 <= self.score_thr < 1:
            raise ConfigError(
                f'follow.score_thr must be from 0 to below 1, got {self.score_thr!r}'
            )

    def __str__(self) -> str:
        return (
            'followed from the frame before '
            f'(padding {self.padding}, score_thr {self.score_thr})'
        )

    def iter_frames(
        self, batch: Mapping[str, Any], before: ImageRow | None
    ) -> TrackedFrames:
        """Go through a batch image by image, each box made of the row before.

        Args:
            batch: `inputs` and `data_samples` of an `UnlabeledDataset`, images of one
                chunk in its order.
            before: The last row of the chunk so far; None at its start.
        """
        return TrackedFrames(self, batch, before)

    def set_box(self, sample: Any, before: ImageRow) -> None:
        """Put the box of an image where the frame before has the animal.

        The box stays as it is where the row is not of the frame before, or the animal
        was lost there.

        Args:
            sample: Data sample of the image, with one box.
            before: The row of the image before it.
        """
        if before.path != sample.metainfo['frame_before'] or not before.candidates:
            return
        height, width = sample.metainfo['ori_shape']
        box = propagate_box(
            before.candidates.keypoints[0],
            before.candidates.keypoint_scores[0],
            (width, height),
            self.padding,
            self.score_thr,
        )
        if box is not None:
            sample.gt_instances.bboxes = box[None]


class TrackedFrames:
    """The images of a batch one by one, as batches of one image.

    `observe` takes the row of each image before the next image is asked for.

    Args:
        tracker: How boxes follow.
        batch: `inputs` and `data_samples`.
        before: The row of the image before the batch; None where there is none.

    Raises:
        RuntimeError: If an image is asked for before the row of the last one came.
    """

    def __init__(
        self, tracker: BoxTracker, batch: Mapping[str, Any], before: ImageRow | None
    ) -> None:
        self._tracker = tracker
        self._batch = batch
        self._before = before
        self._awaits_row = False

    def observe(self, row: ImageRow) -> None:
        """Take the row of the image that was yielded last.

        Args:
            row: The row.
        """
        self._before = row
        self._awaits_row = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        images, samples = self._batch['inputs'], self._batch['data_samples']
        for image, sample in zip(images, samples, strict=True):
            if self._awaits_row:
                raise RuntimeError('the row of a frame decides the box of the next one')
            if self._before is not None and len(sample.gt_instances):
                self._tracker.set_box(sample, self._before)
            self._awaits_row = True
            yield dict(inputs=[image], data_samples=[sample])


def build_box_tracker(options: Mapping[str, Any]) -> BoxTracker:
    """Build a `BoxTracker` from the `follow` options of a config.

    Args:
        options: Values of its attributes.

    Raises:
        UserError: If an option is unknown or out of its range.
    """
    try:
        return BoxTracker(**options)
    except TypeError as error:
        raise ConfigError(
            f'follow takes padding and score_thr, got {options!r}: {error}'
        ) from error
