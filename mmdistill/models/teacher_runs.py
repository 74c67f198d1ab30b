"""Runs of teachers: instances in, fused poses out, in blocks and groups of views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY, Rows
from mmdistill.functional.view_plan import even_blocks
from mmdistill.functional.views import View
from mmdistill.models.crop_cutter import CropSource, source_images
from mmdistill.models.ensemble import fit_together, on_device
from mmdistill.models.teacher import Teacher
from mmdistill.models.view_fuser import FusedPoses, SeenViews, ViewFuser, join_poses

CropsOf = Callable[[View, Rows], Tensor]
"""Function that cuts the crops of a view of some instances."""
BLOCKS_A_TURN = 8
"""Blocks of instances that a teacher sees before the next one takes its turn."""


@dataclass(frozen=True)
class TeacherRun:
    """A run of all teachers over instances.

    Attributes:
        teachers: The teachers.
        fuser: The views, and how they are fused.
        device: The device that the teachers run on.
        offload: Whether several teachers take turns on the device; by default where
            they do not fit into half of its free memory.
    """

    teachers: Sequence[Teacher]
    fuser: ViewFuser
    device: torch.device
    offload: bool | None = None

    def of_boxes(
        self,
        images: Sequence[Tensor],
        boxes: Sequence[np.ndarray],
        reductions: Sequence[int] | None = None,
    ) -> FusedPoses:
        """Compute the fused poses of all boxes of some images.

        Args:
            images: Images in the channel order of the models' pipelines, values 0 to
                255, each (3, height, width).
            boxes: Boxes (x1, y1, x2, y2) of each image, pixels, each (n, 4).
            reductions: Factor by which each image was decoded smaller, by default 1;
                boxes and poses are in pixels of the image at its full size.

        Returns:
            The poses of all boxes, image by image.
        """
        owners = np.repeat(np.arange(len(images)), [len(rows) for rows in boxes])
        joined = torch.from_numpy(
            np.concatenate([np.zeros((0, 4)), *boxes]).astype(np.float32)
        ).to(self.device)
        pixels = source_images(images, owners, self.device)
        reduced = np.array(reductions or [1])
        factors = None if (reduced == 1).all() else reduced[owners]
        sources = [
            CropSource(pixels, owners, teacher.crops(joined), factors)
            for teacher in self.teachers
        ]
        self._refresh()
        block_size = self.fuser.plan.block_size(self.fuser.batch_size)
        poses = []
        for blocks in self._turns([*even_blocks(len(joined), block_size)]):
            seen = [
                [self._begin(teacher, source[rows]) for rows in blocks]
                for teacher, source in zip(self.teachers, sources, strict=True)
            ]
            self._see(seen)
            poses += [self.fuser.fuse(views) for views in zip(*seen, strict=True)]
        return join_poses(poses, len(self.fuser.flip_indices))

    def of_crops(self, crops_of: CropsOf, crops: Crops) -> FusedPoses:
        """Compute the fused poses of instances whose crops are cut elsewhere.

        Args:
            crops_of: Function that returns the crops of a view of some of the
                instances, values 0 to 255, (n, 3, H, W).
            crops: Reference crops of the instances, of all teachers.
        """
        self._refresh()
        seen = []
        for teacher in self.teachers:

            def inputs_of(view: View, rows: Rows, teacher: Teacher = teacher) -> Tensor:
                return teacher.normalizer.inputs_of_crops([crops_of(view, rows)])

            seen.append([self.fuser.begin(teacher, inputs_of, crops)])
        self._see(seen)
        return self.fuser.fuse([views for (views,) in seen])

    def _refresh(self) -> None:
        for teacher in self.teachers:
            teacher.network.refresh_if_changed()

    def _begin(self, teacher: Teacher, block: CropSource) -> SeenViews:
        inputs_of = teacher.cutter.inputs_of(block, teacher.normalizer.inputs)
        return self.fuser.begin(teacher, inputs_of, block.crops)

    def _see(self, seen: Sequence[Sequence[SeenViews]]) -> None:
        """Show blocks of instances to the teachers, one group of views at a time.

        Args:
            seen: What each teacher sees, by block.
        """
        fuser = self.fuser
        rows: list[Rows] = [EVERY] * len(seen[0])
        for number, views in enumerate(fuser.groups):
            if number:
                rows = [fuser.unsettled(block) for block in zip(*seen, strict=True)]
            for teacher, blocks in zip(self.teachers, seen, strict=True):
                with on_device(teacher, self.device, self._offloads):
                    for block, shown in zip(blocks, rows, strict=True):
                        fuser.see(block, views, shown)

    def _turns(self, blocks: list[slice]) -> list[list[slice]]:
        """Blocks of instances between which the teachers take turns."""
        step = BLOCKS_A_TURN if self._offloads else 1
        return [blocks[i : i + step] for i in range(0, len(blocks), step)]

    @property
    def _offloads(self) -> bool:
        """Whether the teachers take turns on the device."""
        if self.offload is None:
            return not fit_together(self.teachers, self.device)
        return self.offload and len(self.teachers) > 1
