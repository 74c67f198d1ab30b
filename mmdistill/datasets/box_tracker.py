"""Boxes of video frames propagated from the keypoints of the previous frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.errors import UserError
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

    padding: float = 1.5
    score_thr: float = 0.3

    def __post_init__(self) -> None:
        if not self.padding >= 1:
            raise UserError(f'follow.padding must be at least 1, got {self.padding!r}')
        if not 0 <= self.score_thr < 1:
            raise UserError(
                f'follow.score_thr must be from 0 to below 1, got {self.score_thr!r}'
            )

    def __str__(self) -> str:
        return (
            'followed from the frame before '
            f'(padding {self.padding}, score_thr {self.score_thr})'
        )

    def iter_frames(
        self, batch: Mapping[str, Any], rows: Sequence[ImageRow]
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the images of a batch, each with its propagated box.

        Args:
            batch: `inputs` and `data_samples` of an `UnlabeledDataset`, images of one
                chunk in its order.
            rows: The rows of the chunk so far. The caller must append an image's row
                before it takes the next image.

        Yields:
            Batches of one image.
        """
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            if rows and len(sample.gt_instances):
                self._set_box(sample, rows[-1])
            yield dict(inputs=[image], data_samples=[sample])

    def _set_box(self, sample: Any, previous: ImageRow) -> None:
        if previous.path != sample.metainfo['frame_before'] or not previous.candidates:
            return
        height, width = sample.metainfo['ori_shape']
        box = propagate_box(
            previous.candidates.keypoints[0],
            previous.candidates.keypoint_scores[0],
            (width, height),
            self.padding,
            self.score_thr,
        )
        if box is not None:
            sample.gt_instances.bboxes = box[None]


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
        raise UserError(
            f'follow takes padding and score_thr, got {options!r}: {error}'
        ) from error
