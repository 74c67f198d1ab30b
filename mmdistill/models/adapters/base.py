"""What the fusing wrapper asks of an adapter, one adapter per family of heads.

Shapes: `N` instances, `n` of them in a view, `K` keypoints.
"""

from __future__ import annotations

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
    """Poses in the reference crops of `N` instances.

    Attributes:
        keypoints: Coordinates (x, y), input pixels of the model, (N, K, 2).
        keypoint_scores: Scores, (N, K).
        keypoints_visible: How visible they are; the scores, where the model does
            not predict it, (N, K).
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoints_visible: np.ndarray


class Fusion(Protocol):
    """The running fusion of some instances over their views."""

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Undo one view of some instances and add it.

        Args:
            view: The view.
            evidence: What `Adapter.evidence` gave for it, first axis n.
            crops: The reference crops of the n instances.
            rows: The n instances among the N.
        """

    def decode(self) -> DecodedPoses:
        """The fused poses, decoded once by the model's own codec."""

    def spread(self) -> Tensor:
        """Mean squared distance of the views' peaks, squared pixels, (N, K)."""


class Adapter(Protocol):
    """Knows what a head's output says about places in its crop."""

    @property
    def frame(self) -> Frame:
        """The network input, and the warp that the codec needs."""

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Make sure that the views can be undone and fused.

        Args:
            views: The views.
            fusion: 'mean' or 'max'.

        Raises:
            UserError: If they cannot.
        """

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """What is fused of a forward's output: tensors with one row a crop."""

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> Fusion:
        """Begin the fusion of some instances.

        Args:
            num_instances: Number of instances, N.
            flip_indices: For each keypoint the one that a mirror makes of it, (K,).
            fusion: 'mean' or 'max'.
        """


def decode_with(head: Any, fused: Any) -> DecodedPoses:
    """Decode a fused output as the head decodes its own.

    Args:
        head: A head of MMPose.
        fused: What the head's `decode` takes.
    """
    instances = head.decode(fused)
    scores = np.concatenate([each.keypoint_scores for each in instances])
    visible = [each.get('keypoints_visible') for each in instances]
    return DecodedPoses(
        keypoints=np.concatenate([each.keypoints[..., :2] for each in instances]),
        keypoint_scores=scores.astype(np.float32),
        keypoints_visible=(
            scores if visible[0] is None else np.concatenate(visible)
        ).astype(np.float32),
    )
