"""Runs of teachers over whole images: images in, fused poses of their instances out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mmdistill.functional.adaptive_views import AdaptiveRule
from mmdistill.functional.box_fit import boxes_around
from mmdistill.functional.pose_matching import (
    MergedPoses,
    ViewPoses,
    evidence_of,
    join_views,
    match_poses,
    merge_poses,
)
from mmdistill.functional.view_plan import ViewPlan, suits
from mmdistill.functional.views import View
from mmdistill.models.finders.base import OF_KEYPOINTS
from mmdistill.models.image_teacher import ImageTeacher, image_size


@dataclass
class SeenImage:
    """An image, and the poses that teachers predicted in it so far.

    Attributes:
        pixels: The image, uint8, (height, width, 3).
        metainfo: Metainfo of its sample.
        parts: Poses of each view.
        views: The views that were shown.
        broken: Whether a view had nothing finite.
    """

    pixels: np.ndarray
    metainfo: Mapping[str, Any]
    parts: list[ViewPoses] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    broken: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image."""
        return image_size(self.pixels, self.metainfo)


@dataclass(frozen=True)
class ImageRun:
    """A run of all teachers over whole images.

    Attributes:
        teachers: The teachers.
        plan: The views.
        batch_size: Images in a forward pass, at resolution 1.
        device: Device that the teachers run on.
        match_thr: OKS from which on poses of two views are of one instance.
        sigmas: Per-keypoint OKS sigmas, (K,).
        margins: Margins of boxes around poses, where the models predict no boxes.
        adaptive: Rule by which images are shown in no further views, if any.
    """

    teachers: Sequence[ImageTeacher]
    plan: ViewPlan
    batch_size: int
    device: torch.device
    match_thr: float
    sigmas: np.ndarray
    margins: Sequence[float]
    adaptive: AdaptiveRule | None = None

    @property
    def groups(self) -> list[tuple[View, ...]]:
        """Views that are shown one group after the other."""
        if self.adaptive is None:
            return [self.plan.views]
        return self.adaptive.split(self.plan.views)

    def show(
        self, images: Sequence[np.ndarray], metainfo: Sequence[Mapping[str, Any]]
    ) -> list[SeenImage]:
        """Show views of images to the teachers, until their poses agree.

        Args:
            images: Images, uint8, each (height, width, 3).
            metainfo: Metainfo of each image's sample.

        Returns:
            Each image with its poses.
        """
        for teacher in self.teachers:
            teacher.module.to(self.device)
            teacher.refresh_if_changed()
        seen = [SeenImage(*pair) for pair in zip(images, metainfo, strict=True)]
        unsettled = seen
        for number, views in enumerate(self.groups):
            if number:
                unsettled = [image for image in unsettled if not self._settled(image)]
            self._show_group(unsettled, views)
        return seen

    def fuse(self, image: SeenImage) -> MergedPoses:
        """Compute the fused poses of an image.

        Args:
            image: The image with the poses of its views.
        """
        finder = self.teachers[0].finder
        poses = join_views([*image.parts, _no_poses(len(self.sigmas))])
        groups = match_poses(poses, self.sigmas, self.match_thr)
        merged = merge_poses(
            *(poses, groups, self._num_views(poses, groups, image.views), self.sigmas),
            scores_of_all=finder.score_mode == OF_KEYPOINTS,
        )
        if not finder.has_boxes:
            merged.bboxes[:] = boxes_around(
                merged.keypoints, merged.keypoint_scores, self.margins, image.size
            )
        return merged

    def _show_group(self, seen: Sequence[SeenImage], views: Sequence[View]) -> None:
        """Show some views of images to all teachers."""
        images = [image.pixels for image in seen]
        metainfo = [image.metainfo for image in seen]
        for t, teacher in enumerate(self.teachers):
            for resolution in dict.fromkeys(view.resolution for view in views):
                alike = [view for view in views if view.resolution == resolution]
                many = max(1, int(self.batch_size / max(1.0, resolution**2)))
                shown = teacher.show(images, metainfo, alike, many, self.device)
                for number, view, poses in shown:
                    self._add(seen[number], t, view, poses)
        for image in seen:
            image.views += views

    def _add(
        self, image: SeenImage, teacher: int, view: View, poses: ViewPoses | None
    ) -> None:
        """Add the poses of one view of an image, None where nothing is finite."""
        if poses is None:
            image.broken = True
            return
        views = self.plan.views
        poses.views[:] = teacher * len(views) + views.index(view)
        finite = self._finite(poses, image.size)
        image.broken |= len(poses) > len(finite) == 0
        image.parts.append(self._suited(finite, view))

    def _finite(self, poses: ViewPoses, image_size: tuple[int, int]) -> ViewPoses:
        """The poses of a view all of whose values are finite, with boxes."""
        if not self.teachers[0].finder.has_boxes:
            poses.bboxes[:] = boxes_around(
                poses.keypoints, poses.keypoint_scores, self.margins, image_size
            )
        finite = np.isfinite(poses.scores) & np.isfinite(poses.bboxes).all(axis=1)
        finite &= np.isfinite(poses.keypoints).all(axis=(1, 2))
        finite &= np.isfinite(poses.keypoint_scores).all(axis=1)
        return poses[finite]

    def _suited(self, poses: ViewPoses, view: View) -> ViewPoses:
        """The poses of a view that suit it by their size."""
        if self.plan.areas is None or not len(poses):
            return poses
        areas = torch.from_numpy(poses.areas)
        return poses[suits(view, areas, *self.plan.areas).numpy()]

    def _num_views(
        self, poses: ViewPoses, groups: np.ndarray, views: Sequence[View]
    ) -> int | np.ndarray:
        """Number of the shown views that could show each group, (G,), or all groups."""
        if self.plan.areas is None:
            return len(self.teachers) * len(views)
        members = np.bincount(groups)
        areas = np.bincount(groups, weights=poses.areas) / np.maximum(members, 1)
        shown = [
            suits(view, torch.from_numpy(areas), *self.plan.areas).numpy()
            for view in views
        ]
        return len(self.teachers) * np.sum(shown, axis=0)

    def _settled(self, image: SeenImage) -> bool:
        """Whether the views of an image agree on all of its instances together.

        One in which nothing was found, or nothing finite, is shown in all views.
        """
        assert self.adaptive is not None
        merged = self.fuse(image)
        evidence = evidence_of(merged.scores, merged.keypoint_scores)
        row = [
            torch.from_numpy(values.reshape(1, -1))
            for values in (merged.keypoint_agreement, evidence)
        ]
        return not image.broken and bool(self.adaptive.settled(*row))


def _no_poses(num_keypoints: int) -> ViewPoses:
    keypoints = np.zeros((0, num_keypoints, 2))
    none = np.zeros(0, dtype=np.int64)
    return ViewPoses(
        *(keypoints, keypoints[..., 0], np.zeros((0, 4)), np.zeros(0), none, none)
    )
