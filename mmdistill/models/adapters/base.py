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

from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import Rows
from mmdistill.functional.views import Frame, View


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


class Adapter(Protocol):
    """Interpreter of a head's output as evidence of positions in its crop."""

    @property
    def frame(self) -> Frame:
        """Network input of the fused output, with the warp that the codec requires."""

    def frame_of(self, view: View) -> Frame:
        """Return the network input of a view, which its resolution decides."""

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Check that the views can be undone and fused.

        Args:
            views: The views.
            fusion: 'mean' or 'max'.

        Raises:
            UserError: If they cannot.
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


def decode_with(head: Any, fused: Any) -> DecodedPoses:
    """Decode a fused output as the head decodes its own.

    Args:
        head: A head of MMPose.
        fused: Input of the head's `decode`.
    """
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
