"""Interface of adapters, one for each family of heads, to the fusing wrapper.

Shapes: `N` instances, `n` of them in a view, `K` keypoints.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import PeakSpread, Rows
from mmdistill.functional.views import Frame, View

SUB_CELL = 'sub-cell'
"""Agreement of peaks between cells, as manifests name it."""


@dataclass(frozen=True)
class DecodedPoses:
    """Decoded poses in the reference crops of `N` instances.

    Attributes:
        keypoints: Coordinates (x, y), input pixels of the model, (N, K, 2).
        keypoint_scores: Scores, (N, K).
        keypoints_visible: Visibility; the scores, where the model does not predict it,
            (N, K).
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoints_visible: np.ndarray


class Fusion(Protocol):
    """Running fusion of some instances over their views."""

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Undo one view of some instances and add it.

        Args:
            view: The view.
            evidence: Result of `Adapter.evidence` for it, first axis n.
            crops: The reference crops of the n instances.
            rows: The n instances among the N.
        """

    def decode(self) -> DecodedPoses:
        """Decode the fused poses, once, by the model's own codec."""

    def spread(self) -> Tensor:
        """Compute the mean squared distance of the views' peaks, pixels², (N, K)."""

    @property
    def peaks(self) -> PeakSpread:
        """The running spread of the views' peaks, in the image."""

    def merge(self, other: Any, crops: Crops, other_crops: Crops) -> None:
        """Add the views of another teacher, whose adapter passed `check_partner`.

        Args:
            other: The other teacher's fusion of the same N instances.
            crops: Reference crops of this teacher.
            other_crops: Reference crops of the other one.
        """


class Adapter(Protocol):
    """Interpreter of a head's output as evidence of positions in its crop."""

    output: str
    """The kind of output, for messages."""

    @property
    def num_cells(self) -> int:
        """Number of cells of the grid that views are fused on; 0 where none is."""

    @property
    def frame(self) -> Frame:
        """Network input of the fused output, with the warp that the codec requires."""

    def frame_of(self, view: View) -> Frame:
        """Return the network input of a view, which its resolution decides."""

    @property
    def agreement_from(self) -> str | None:
        """Peaks that agreement compares; None where they always were exact.

        Peaks of heatmaps and vectors were whole cells in older stores, whose agreement
        is not mixed with that of `SUB_CELL` peaks.
        """

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Check that the views can be undone and fused.

        Args:
            views: The views.
            fusion: 'mean' or 'max'.

        Raises:
            UserError: If they cannot.
        """

    def check_partner(self, other: Adapter, same_crops: bool) -> None:
        """Check that the outputs of another teacher can be fused with this one's.

        Args:
            other: The other teacher's adapter.
            same_crops: Whether both are shown the same region of an instance.

        Raises:
            ConfigError: If they cannot.
        """

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """Extract the tensors to fuse, one row per crop."""

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> Fusion:
        """Begin the fusion of some instances.

        Args:
            num_instances: Number of instances, N.
            flip_indices: Mirror partner of each keypoint, (K,).
            fusion: 'mean' or 'max'.
        """


def with_codec(head: Any, codec: Any) -> Any:
    """Return a head that decodes with another codec and shares everything else.

    Args:
        head: A head of MMPose.
        codec: The codec; for its own one, the head itself is returned.
    """
    if codec is head.decoder:
        return head
    copied = copy.copy(head)
    copied.decoder = codec
    return copied


def check_same_family(adapter: Any, other: Any) -> None:
    """Check that two adapters are of the same family of heads.

    Args:
        adapter: An adapter.
        other: Another one.

    Raises:
        ConfigError: If they are not.
    """
    if type(adapter) is not type(other):
        raise ConfigError(
            f'teachers of an ensemble must return the same kind of output, got '
            f'{adapter.output} and {other.output}'
        )


def decode_with(head: Any, fused: Any) -> DecodedPoses:
    """Decode a fused output as the head decodes its own.

    Args:
        head: A head of MMPose.
        fused: Input of the head's `decode`.
    """
    # An output of zeros is divided by its peak: NaN, which is replaced later.
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        instances = head.decode(fused)
    scores = np.concatenate([one.keypoint_scores for one in instances])
    visible = [one.get('keypoints_visible') for one in instances]
    return DecodedPoses(
        keypoints=np.concatenate([one.keypoints[..., :2] for one in instances]),
        keypoint_scores=scores.astype(np.float32),
        keypoints_visible=(
            scores if visible[0] is None else np.concatenate(visible)
        ).astype(np.float32),
    )
