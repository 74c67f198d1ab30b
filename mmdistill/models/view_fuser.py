"""Fusion of views: forward passes of the network and the fused poses as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.adaptive_views import AdaptiveRule
from mmdistill.functional.crops import Crops
from mmdistill.functional.finite import (
    KnownInAll,
    known_in_view,
    known_keypoints,
    without_unknown,
)
from mmdistill.functional.fusion import PeakSpread, Rows, view_agreement
from mmdistill.functional.scoring import AREA_OF_BOX
from mmdistill.functional.view_plan import ViewPlan
from mmdistill.functional.views import View
from mmdistill.models.adapters.base import Fusion
from mmdistill.models.crop_cutter import InputsOf
from mmdistill.models.keypoints import sigmas_of, swap_left_right
from mmdistill.models.teacher import Teacher


@dataclass(frozen=True)
class ViewFuser:
    """Fusion of the views of instances, in one or several forward passes.

    Attributes:
        plan: The views.
        fusion: 'mean' or 'max'.
        sigmas: OKS sigmas, see `sigmas_of`.
        kept: Keypoints that the model returns, None for all.
        flip_indices: Mirror partner of each keypoint, (K,).
        batch_size: Crops in a forward pass, unless a single view has more.
        selects: Whether only the kept keypoints are fused; else all of the head's.
        adaptive: Rule by which instances are shown in no further views, if any.
    """

    plan: ViewPlan
    fusion: str
    sigmas: Sequence[float] | None
    kept: Sequence[int] | None
    flip_indices: Sequence[int]
    batch_size: int
    selects: bool = False
    adaptive: AdaptiveRule | None = None

    @property
    def groups(self) -> list[tuple[View, ...]]:
        """Views that are shown one group after the other."""
        if self.adaptive is None:
            return [self.plan.views]
        return self.adaptive.split(self.plan.views)

    def begin(self, teacher: Teacher, inputs_of: InputsOf, crops: Crops) -> SeenViews:
        """Begin the fusion of instances as a teacher sees them.

        Args:
            teacher: The teacher.
            inputs_of: Function that returns the network inputs of a view of some of
                the instances, (n, 3, H, W).
            crops: Reference crops of the instances.
        """
        fusion = teacher.adapter.start(len(crops), self.flip_indices, self.fusion)
        known = KnownInAll(len(crops))
        counts = torch.zeros(len(crops), dtype=torch.int32)
        return SeenViews(teacher, inputs_of, crops, fusion, known, counts)

    def see(self, seen: SeenViews, views: Sequence[View], rows: Rows) -> None:
        """Run a teacher on views of instances.

        Args:
            seen: What the teacher has seen so far; the views are added.
            views: The views.
            rows: The instances.
        """
        size = max(self.batch_size, len(seen.crops))
        for batch in self.plan.batches(seen.crops.box_areas, size, views, rows):
            self._add_views(seen, batch)

    def unsettled(self, seen: Sequence[SeenViews]) -> Tensor:
        """Find the instances that further views are shown of, ascending, (n,).

        Args:
            seen: What each teacher has seen so far of the same instances.
        """
        assert self.adaptive is not None
        crops = seen[0].crops
        peaks = PeakSpread(len(crops))
        for views in seen:
            peaks.merge(views.fusion.peaks)
        agreement = self._agreement(peaks.result(), crops.box_areas)
        return (~self.adaptive.settled(agreement, peaks.evidence())).nonzero()[:, 0]

    def fuse(self, seen: Sequence[SeenViews]) -> FusedPoses:
        """Compute the fused poses of instances of all that teachers have seen.

        Args:
            seen: The views of each teacher, of the same instances.
        """
        finest = max(seen, key=lambda views: views.teacher.adapter.num_cells)
        for other in seen:
            if other is not finest:
                finest.merge(other)
        crops, poses = finest.crops, finest.fusion.decode()
        frame = finest.teacher.adapter.frame
        positions = torch.from_numpy(poses.keypoints / (frame.width, frame.height))
        keypoints = crops.to_image(positions.to(crops.centers)).cpu().numpy()
        spread = finest.fusion.spread()
        agreement = self._agreement(spread, crops.box_areas).cpu().numpy()
        return _without_unknown(
            FusedPoses(
                *(keypoints, poses.keypoint_scores, poses.keypoints_visible, agreement),
                finest.known.result(),
                finest.num_views.numpy(),
            ),
            crops.centers.cpu().numpy(),
        )

    def _add_views(self, seen: SeenViews, batch: Sequence[tuple[View, Rows]]) -> None:
        """Run one forward pass and add its views; only the fusion keeps any of it."""
        teacher = seen.teacher
        inputs = [seen.inputs_of(view, rows) for view, rows in batch]
        counts = [len(block) for block in inputs]
        evidence = teacher.adapter.evidence(teacher.network(_joined(inputs)))
        if self.selects and teacher.kept is not None:
            evidence = tuple(tensor[:, list(teacher.kept)] for tensor in evidence)
        by_view = zip(*(tensor.split(counts) for tensor in evidence), strict=True)
        for (view, rows), shown in zip(batch, by_view, strict=True):
            seen.add(view, rows, shown, self.flip_indices)

    def _agreement(self, spread: Tensor, box_areas: Tensor) -> Tensor:
        sigmas = sigmas_of(self.sigmas, self.kept, spread.shape[1])
        return view_agreement(
            spread, AREA_OF_BOX * box_areas, torch.as_tensor(sigmas).to(spread)
        )


@dataclass(frozen=True)
class SeenViews:
    """The views that a teacher has seen of some instances, fused so far.

    Attributes:
        teacher: The teacher.
        inputs_of: Function that returns the network inputs of a view.
        crops: Reference crops of the instances, those of the teacher.
        fusion: The running fusion.
        known: The keypoints that are finite in every view.
        num_views: Number of views of each instance, (N,), int32, on the CPU.
    """

    teacher: Teacher
    inputs_of: InputsOf
    crops: Crops
    fusion: Fusion
    known: KnownInAll
    num_views: Tensor

    def add(
        self,
        view: View,
        rows: Rows,
        evidence: tuple[Tensor, ...],
        flip_indices: Sequence[int],
    ) -> None:
        """Add one view of some instances.

        Args:
            view: The view.
            rows: The n instances.
            evidence: Result of `Adapter.evidence` for it, first axis n.
            flip_indices: Mirror partner of each keypoint, (K,).
        """
        finite = known_in_view(evidence)
        self.fusion.add(view, without_unknown(evidence, finite), self.crops[rows], rows)
        self.known.add(
            swap_left_right(finite, flip_indices) if view.flip else finite, rows
        )
        self.num_views[rows.cpu() if isinstance(rows, Tensor) else rows] += 1

    def merge(self, other: SeenViews) -> None:
        """Add the views of another teacher of the same instances.

        Args:
            other: Its views.
        """
        self.fusion.merge(other.fusion, self.crops, other.crops)
        self.known.merge(other.known)
        self.num_views.add_(other.num_views)


@dataclass(frozen=True)
class FusedPoses:
    """Fused poses of `N` instances with `K` keypoints.

    Attributes:
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2).
        keypoint_scores: Score of each keypoint, from the fused output, (N, K).
        keypoints_visible: Visibility of each keypoint; its score, where the model does
            not predict it, (N, K).
        keypoint_agreement: Agreement of the views, 1 being best, (N, K).
        known: Mask of the keypoints whose values are finite in every view, (N, K),
            bool; by default all. The others have score 0, agreement 0 and the middle
            of the crop as their coordinates.
        num_views: Number of views that each instance was shown in, of all teachers,
            (N,), int32; by default 0.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoints_visible: np.ndarray
    keypoint_agreement: np.ndarray
    known: np.ndarray = None  # type: ignore[assignment]
    num_views: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.known is None:
            everything = np.ones(self.keypoint_scores.shape, dtype=np.bool_)
            object.__setattr__(self, 'known', everything)
        if self.num_views is None:
            object.__setattr__(self, 'num_views', np.zeros(len(self), dtype=np.int32))

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: slice) -> FusedPoses:
        return FusedPoses(*(getattr(self, field.name)[rows] for field in fields(self)))


def join_poses(blocks: Sequence[FusedPoses], num_keypoints: int) -> FusedPoses:
    """Concatenate poses; without blocks, return no poses of `num_keypoints`.

    Args:
        blocks: Poses of successive instances.
        num_keypoints: Number of keypoints, K.
    """
    keypoints = np.zeros((0, num_keypoints, 2), dtype=np.float32)
    empty = FusedPoses(keypoints, *[keypoints[..., 0]] * 3)
    return FusedPoses(
        *(
            np.concatenate([getattr(block, field.name) for block in blocks or [empty]])
            for field in fields(FusedPoses)
        )
    )


def _without_unknown(poses: FusedPoses, centers: np.ndarray) -> FusedPoses:
    """Replace non-finite keypoints by unknown ones; decoding may add some."""
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
        poses.num_views,
    )


def _joined(blocks: Sequence[Tensor]) -> Tensor:
    """Concatenate blocks of crops; a single one is not copied."""
    return blocks[0] if len(blocks) == 1 else torch.cat(list(blocks))
