"""Running the network on all views of some instances, and fusing what it says.

Fused poses of some instances, as arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.crops import Crops
from mmdistill.functional.finite import (
    KnownInAll,
    known_in_view,
    known_keypoints,
    without_unknown,
)
from mmdistill.functional.fusion import Rows, view_agreement
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.functional.view_plan import ViewPlan
from mmdistill.functional.views import View
from mmdistill.models.adapters.base import Adapter, Fusion
from mmdistill.models.crop_cutter import InputsOf
from mmdistill.models.keypoints import sigmas_of, swap_left_right
from mmdistill.models.network import Network


@dataclass(frozen=True)
class ViewFuser:
    """Fuses the views of instances, one block of them after the other.

    Attributes:
        plan: The views.
        network: The forward pass.
        adapter: Knows what the head's output says.
        fusion: 'mean' or 'max'.
        sigmas: OKS sigmas, as `sigmas_of` takes them.
        kept: The keypoints that the model gives out, None for all.
    """

    plan: ViewPlan
    network: Network
    adapter: Adapter
    fusion: str
    sigmas: Sequence[float] | None
    kept: Sequence[int] | None

    def __call__(
        self,
        inputs_of: InputsOf,
        crops: Crops,
        flip_indices: Sequence[int],
        batch_size: int,
    ) -> FusedPoses:
        """Fused poses of instances.

        Args:
            inputs_of: Network inputs of a view of some of the instances,
                (n, 3, H, W).
            crops: Where the reference crops lie in their images.
            flip_indices: For each keypoint the one that a mirror makes of it, (K,).
            batch_size: Crops in a forward pass, where one view has no more.
        """
        fusion = self.adapter.start(len(crops), flip_indices, self.fusion)
        size = max(batch_size, len(crops))
        known = KnownInAll(len(crops))
        for batch in self.plan.batches(crops.box_areas, size):
            self._add_views(fusion, batch, inputs_of, crops, flip_indices, known)
        poses = fusion.decode()
        frame = self.adapter.frame
        positions = torch.from_numpy(poses.keypoints / (frame.width, frame.height))
        places = crops.to_image(positions.to(crops.centers)).cpu().numpy()
        agreement = self._agreement(fusion.spread(), crops.box_areas).cpu().numpy()
        return _without_unknown(
            FusedPoses(
                *(places, poses.keypoint_scores, poses.keypoints_visible, agreement),
                known.result(),
            ),
            crops.centers.cpu().numpy(),
        )

    def _add_views(
        self,
        fusion: Fusion,
        batch: Sequence[tuple[View, Rows]],
        inputs_of: InputsOf,
        crops: Crops,
        flip_indices: Sequence[int],
        known: KnownInAll,
    ) -> None:
        """One forward pass; nothing of it outlives it but what is fused."""
        inputs = [inputs_of(view, rows) for view, rows in batch]
        counts = [len(part) for part in inputs]
        evidence = self.adapter.evidence(self.network(_joined(inputs)))
        parts = zip(*(tensor.split(counts) for tensor in evidence), strict=True)
        for (view, rows), part in zip(batch, parts, strict=True):
            finite = known_in_view(part)
            fusion.add(view, without_unknown(part, finite), crops[rows], rows)
            known.add(
                swap_left_right(finite, flip_indices) if view.flip else finite, rows
            )

    def _agreement(self, spread: Tensor, box_areas: Tensor) -> Tensor:
        sigmas = sigmas_of(self.sigmas, self.kept, spread.shape[1])
        return view_agreement(
            spread, AREA_OF_BOX * box_areas, torch.as_tensor(sigmas).to(spread)
        )


def _without_unknown(poses: FusedPoses, centers: np.ndarray) -> FusedPoses:
    """Poses whose keypoints are finite; decoding may spoil some, too."""
    known = poses.known & known_keypoints(
        *(poses.keypoints, poses.keypoint_scores),
        *(poses.keypoints_visible, poses.keypoint_agreement),
    )
    if known.all():
        return poses
    return FusedPoses(
        np.where(known[..., None], poses.keypoints, centers[:, None]),
        np.where(known, poses.keypoint_scores, 0),
        np.where(known, poses.keypoints_visible, 0),
        np.where(known, poses.keypoint_agreement, 0),
        known,
    )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Parts in one tensor; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


@dataclass(frozen=True)
class FusedPoses:
    """Fused poses of `N` instances with `K` keypoints.

    Attributes:
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2).
        keypoint_scores: Score of each keypoint, from the fused output, (N, K).
        keypoints_visible: How visible each keypoint is; its score, where the model
            does not predict it, (N, K).
        keypoint_agreement: How far the views agree, 1 being best, (N, K).
        known: Which keypoints the model gave finite numbers for, in every view, (N, K),
            bool; by default all. The others have score 0, agreement 0 and the middle
            of the crop as their coordinates.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoints_visible: np.ndarray
    keypoint_agreement: np.ndarray
    known: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.known is None:
            everything = np.ones(self.keypoint_scores.shape, dtype=np.bool_)
            object.__setattr__(self, 'known', everything)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: slice) -> FusedPoses:
        return FusedPoses(*(getattr(self, field.name)[rows] for field in fields(self)))


def join_poses(parts: Sequence[FusedPoses], num_keypoints: int) -> FusedPoses:
    """Concatenate poses; without any, an empty one of `num_keypoints`."""
    places = np.zeros((0, num_keypoints, 2), dtype=np.float32)
    nothing = FusedPoses(places, *[places[..., 0]] * 3)
    return FusedPoses(
        *(
            np.concatenate([getattr(part, field.name) for part in parts or [nothing]])
            for field in fields(FusedPoses)
        )
    )
