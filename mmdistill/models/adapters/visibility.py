"""Adapter of heads that predict visibility in addition to the poses of another head.

Shapes: `N` instances, `n` of them in a view, `K` keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import MaskedMean, PeakSpread, Rows
from mmdistill.functional.views import Frame, View
from mmdistill.models.adapters.base import (
    Adapter,
    DecodedPoses,
    Fusion,
    check_same_family,
)
from mmdistill.models.keypoints import swap_left_right


class VisibilityAdapter:
    """Adapter that averages visibility, and delegates poses to the inner head's.

    Args:
        head: A head of MMPose whose forward returns the output of its `pose_head`
            and visibility, (N, K).
        poses: The adapter of its `pose_head`.
    """

    output = 'poses with visibility'

    def __init__(self, head: Any, poses: Adapter) -> None:
        self._poses = poses
        self._is_probability = bool(head.use_sigmoid)

    @property
    def num_cells(self) -> int:
        """Number of cells of the grid of the poses."""
        return self._poses.num_cells

    @property
    def frame(self) -> Frame:
        """Network input, with the warp that the codec requires."""
        return self._poses.frame

    def frame_of(self, view: View) -> Frame:
        """Return the network input of a view."""
        return self._poses.frame_of(view)

    @property
    def agreement_from(self) -> str | None:
        """Peaks that agreement compares: those of the poses."""
        return self._poses.agreement_from

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Check that the poses can be fused; see `Adapter.check`."""
        self._poses.check(views, fusion)

    def check_partner(self, other: Adapter, same_crops: bool) -> None:
        """Check poses, and the kind of visibility; see `Adapter.check_partner`."""
        check_same_family(self, other)
        assert isinstance(other, VisibilityAdapter)
        self._poses.check_partner(other._poses, same_crops)
        if self._is_probability != other._is_probability:
            raise ConfigError(
                'visibilities of an ensemble must all be probabilities or all logits: '
                'the same use_sigmoid of the heads'
            )

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """Extract the evidence of the poses, then visibility, (n, K)."""
        poses, visibility = output
        return *self._poses.evidence(poses), visibility.float()

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> VisibilityFusion:
        """Begin the fusion of some instances; see `Adapter.start`."""
        poses = self._poses.start(num_instances, flip_indices, fusion)
        return VisibilityFusion(
            poses, num_instances, flip_indices, self._is_probability
        )


class VisibilityFusion:
    """Running fusion of some instances over their views.

    As in the head's own predict, its outputs are averaged, and converted to
    probabilities afterwards where they are logits.

    Args:
        poses: The fusion of their poses.
        num_instances: Number of instances, N.
        flip_indices: Mirror partner of each keypoint, (K,).
        is_probability: Whether visibility is given as probabilities, not as logits.
    """

    def __init__(
        self,
        poses: Fusion,
        num_instances: int,
        flip_indices: Sequence[int],
        is_probability: bool,
    ) -> None:
        self._poses = poses
        self._flip_indices = list(flip_indices)
        self._visibility = MaskedMean(num_instances)
        self._is_probability = is_probability

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Add one view of some instances; see `Fusion.add`."""
        *poses, visibility = evidence
        self._poses.add(view, tuple(poses), crops, rows)
        if view.flip:
            visibility = swap_left_right(visibility, self._flip_indices)
        self._visibility.add(visibility, visibility.new_ones(()), rows)

    def decode(self) -> DecodedPoses:
        """Decode the fused poses, with the fused visibility."""
        visibility = self._visibility.result()
        if not self._is_probability:
            visibility = visibility.sigmoid()
        return replace(self._poses.decode(), keypoints_visible=visibility.cpu().numpy())

    def spread(self) -> Tensor:
        """Compute the mean squared distance of the views' peaks, pixels², (N, K)."""
        return self._poses.spread()

    @property
    def peaks(self) -> PeakSpread:
        """The running spread of the views' peaks, in the image."""
        return self._poses.peaks

    def merge(self, other: VisibilityFusion, crops: Crops, other_crops: Crops) -> None:
        """Add the views of another teacher; see `Fusion.merge`."""
        self._poses.merge(other._poses, crops, other_crops)
        self._visibility.merge(other._visibility)
