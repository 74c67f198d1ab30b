"""Test-time augmentation that fuses heatmaps, for any MMPose top-down estimator.

Data Distillation, section 4.1, "multi-transform inference": one teacher, several
transforms of each image, one label. Views are crops at several scales and input sizes,
each also mirrored; the outputs of the head are warped back into the reference crop,
averaged where a view has evidence, and decoded once.

The paper also predicts boxes by test-time augmentation, which is left out: MMPose's
top-down models take boxes as input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor

from mmdistill.config.schema import ViewsConfig
from mmdistill.errors import ConfigError
from mmdistill.functional.box_fit import BoxFit
from mmdistill.functional.crops import Crops
from mmdistill.functional.reduced_decoding import Sampling, SamplingOfAll, reduction_in
from mmdistill.functional.view_plan import ViewPlan, make_views
from mmdistill.models.adapters.base import Adapter
from mmdistill.models.adapters.layouts import Resolutions
from mmdistill.models.ensemble import (
    DEFAULT_PADDING,
    build_ensemble,
    check_ensemble,
    names_of,
    ordered_module,
)
from mmdistill.models.keypoints import check_output_order, flip_indices_of
from mmdistill.models.network import Network, batch_size_on
from mmdistill.models.setting_checks import (
    adaptive_rule,
    check_fusion,
    check_fusion_resolution,
    check_images,
    check_switches,
    views_refused,
    whole_images,
)
from mmdistill.models.teacher import Running, Teacher
from mmdistill.models.teacher_runs import CropsOf, TeacherRun
from mmdistill.models.view_fuser import FusedPoses, ViewFuser
from mmdistill.registry import MODELS


@MODELS.register_module()
class HeatmapFusionTTA(BaseTTAModel):
    """Wrap a top-down pose estimator so that it predicts from several views.

    It takes whole images with boxes and cuts every crop itself, on the model's device.
    Of the wrapped model only `extract_feat` and `head` are used, its own `flip_test`
    is not run, and its checkpoints load into the wrapper.

    Args:
        module: The pose estimator, or its config.
        scales: Magnifications of the image, each positive and named once.
        flip: Whether every view is also mirrored.
        aspect_ratios: Magnifications of the image's width alone, in addition to the
            scales, as in Detectron.
        rotations: Degrees by which the crop is rotated, in addition to the scales.
        resolutions: Factors of both sides of the network input, rounded to what the
            backbone divides: each crop is shown at each of them, as the paper scales
            the image. Others than 1 need heatmaps that grow with the input.
        fusion_resolution: Resolution on whose grid views are fused and decoded; by
            default the highest of `resolutions`.
        size_dependent: Whether small instances are not scaled down and large ones
            not scaled up, as Detectron's `KPS_AUG.SCALE_SIZE_DEP`; a resolution
            scales as a scale does.
        small_area: Area of a box, squared pixels of the image, below which an
            instance is small; Detectron's default.
        large_area: Area of a box from which on an instance is large.
        fusion: 'mean' (the paper) or 'max'.
        padding: Factor by which a crop is larger than its box, as in
            `GetBBoxCenterScale` of the model's own pipeline.
        use_udp: Whether crops are cut as with `TopdownAffine(use_udp=True)`.
            By default as the model's codec requires.
        sigmas: Per-keypoint OKS sigmas of the data set, for the agreement; of all
            keypoints of the model, or of those that it returns.
        forward_batch_size: Crops in a forward pass, of several instances and
            views, at resolution 1: at 2 it has a fourth of them. By default 8 on a
            CPU, whose caches hold no more, else 64.
        channels_last: Whether the model runs in channels-last memory format,
            which is faster for convolutions on CPUs and on tensor cores.
        fold_batch_norm: Whether batch norms are folded into the convolutions
            before them, in a copy of the model; only rounding changes.
        precision: 'float32', or 'bfloat16' or 'float16' to run the network, and only
            the network, under autocast.
        compile: Whether `torch.compile` compiles the network, once for all batch
            sizes.
        ensemble: Further teachers, each with its `module`, `padding` and `use_udp`:
            their outputs are fused with those of `module`, on the finest grid among
            them. All return the same keypoints in the same order, which `keypoints`
            of one may state: those of its head, instead of all that it returns. An
            error calls one by its `name`, by default by its place in a recipe.
        offload: Whether the teachers of an ensemble take turns on the device. By
            default where they do not fit into half of its free memory. Labels are the
            same.
        adaptive: Agreement from which on an instance is shown in no further views. By
            default every instance is shown in all.
        adaptive_groups: Number of views in each group that is shown before agreement
            is compared; the last group has the rest.

    Attributes:
        teachers: The teachers, that of `module` first.
        box_fit: Where set, `test_step` predicts twice: first in one view of the box and
            its mirror image, then, in a box fitted around that pose, in all views.

    Raises:
        UserError: If a setting is invalid, or the wrapped model's head cannot be fused.
    """

    def __init__(
        self,
        module: dict | torch.nn.Module,
        scales: Sequence[float] = ViewsConfig.scales,
        flip: bool = ViewsConfig.flip,
        aspect_ratios: Sequence[float] = ViewsConfig.aspect_ratios,
        rotations: Sequence[float] = ViewsConfig.rotations,
        resolutions: Sequence[float] = ViewsConfig.resolutions,
        fusion_resolution: float | None = ViewsConfig.fusion_resolution,
        size_dependent: bool = ViewsConfig.size_dependent,
        small_area: float = ViewsConfig.small_area,
        large_area: float = ViewsConfig.large_area,
        fusion: str = ViewsConfig.fusion,
        padding: float = DEFAULT_PADDING,
        use_udp: bool | None = None,
        sigmas: Sequence[float] | None = None,
        forward_batch_size: int | None = ViewsConfig.forward_batch_size,
        channels_last: bool = ViewsConfig.channels_last,
        fold_batch_norm: bool = ViewsConfig.fold_batch_norm,
        precision: str = ViewsConfig.precision,
        compile: bool = ViewsConfig.compile,
        data_preprocessor: dict | torch.nn.Module | None = None,
        ensemble: Sequence[Mapping[str, Any]] = (),
        offload: bool | None = ViewsConfig.offload,
        adaptive: float | None = ViewsConfig.adaptive,
        adaptive_groups: Sequence[int] = ViewsConfig.adaptive_groups,
    ) -> None:
        super().__init__(
            module=ordered_module(module), data_preprocessor=data_preprocessor
        )
        check_switches(flip=flip, size_dependent=size_dependent, compile=compile)
        check_fusion(fusion, padding, forward_batch_size)
        check_fusion_resolution(fusion_resolution)
        try:
            views = make_views(scales, flip, aspect_ratios, rotations, resolutions)
            areas = (small_area, large_area) if size_dependent else None
            self.plan = ViewPlan(views, areas)
            self._first_pass = ViewPlan(make_views((1.0,), flip))
        except ValueError as error:
            raise ConfigError(f'views: {error}') from error
        self.box_fit: BoxFit | None = None
        self.fusion = fusion
        self.padding = padding
        self.sigmas = sigmas
        self.forward_batch_size = forward_batch_size
        self.precision = precision
        self.offload = offload
        self.adaptive = adaptive_rule(adaptive, adaptive_groups)
        running = Running(
            channels_last,
            precision,
            fold_batch_norm,
            compile,
            Resolutions([float(value) for value in resolutions], fusion_resolution),
        )
        first = Teacher(self.module, padding, use_udp, running)
        # Not a submodule: they are moved to the device one by one where it is small.
        self.teachers = (first, *build_ensemble(ensemble, running))
        check_ensemble(self.teachers, names_of(ensemble), views, fusion)

    @property
    def adapter(self) -> Adapter:
        """Adapter of the family of the first teacher's head."""
        return self.teachers[0].adapter

    @property
    def network(self) -> Network:
        """Forward pass of the first teacher."""
        return self.teachers[0].network

    @property
    def ensemble(self) -> list[torch.nn.Module]:
        """The pose estimators beside `module`."""
        return [teacher.module for teacher in self.teachers[1:]]

    @property
    def output_indices(self) -> Sequence[int] | None:
        """Numbers of the keypoints that are returned; None for all, in their order."""
        return self.teachers[0].kept

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints that are returned, K; needs a forward pass."""
        return self.teachers[0].num_keypoints

    def provenance(self) -> dict[str, Any]:
        """Settings that decide the labels besides the model, as JSON values."""
        # Metainfo of the model overrides that of the data set.
        own = self.module.metainfo
        pairs = {'flip_indices': [int(i) for i in own['flip_indices']]} if own else {}
        # Without a fit there is no entry, so that older stores can be continued.
        fit = {} if self.box_fit is None else {'box_fit': self.box_fit.as_json()}
        peaks = self.adapter.agreement_from
        agreement = {} if peaks is None else {'agreement': peaks}
        return {
            'views': [str(view) for view in self.plan.views],
            'fusion': self.fusion,
            'areas': self.plan.areas,
            'padding': self.padding,
            'use_udp': self.adapter.frame.use_udp,
            'precision': self.precision,
            **self.teachers[0].input_sizes(self.plan.views),
            **pairs,
            **fit,
            **agreement,
            **self._ensemble_provenance(),
            **self._adaptive_provenance(),
        }

    def _adaptive_provenance(self) -> dict[str, Any]:
        return {} if self.adaptive is None else {'adaptive': self.adaptive.as_json()}

    def _ensemble_provenance(self) -> dict[str, Any]:
        others = [
            {
                'padding': teacher.padding,
                'use_udp': teacher.adapter.frame.use_udp,
                **teacher.input_sizes(self.plan.views),
            }
            for teacher in self.teachers[1:]
        ]
        return {'ensemble': others} if others else {}

    def sampling(self) -> Sampling:
        """Return how densely the views sample the images of boxes.

        Raises:
            ConfigError: If boxes are fitted, so that they are not known beforehand.
        """
        if self.box_fit is not None:
            raise ConfigError(
                'reduced_decoding needs boxes that are known before an image is '
                'decoded, but they are fitted to a first pose: give boxes, or set '
                'distill.labeling.refit_boxes=False'
            )
        parts = [teacher.sampling(self.plan.views) for teacher in self.teachers]
        return SamplingOfAll(parts)

    @property
    def views_per_box(self) -> int:
        """Number of crops of a box in a network, with those of the first pass."""
        first = 0 if self.box_fit is None else len(self._first_pass.views)
        return len(self.teachers) * (first + len(self.plan.views))

    @property
    def work_per_box(self) -> float:
        """Pixels of those crops, in inputs at the size of each model."""
        first = () if self.box_fit is None else self._first_pass.views
        views = (*first, *self.plan.views)
        return sum(teacher.work(views) for teacher in self.teachers)

    def test_step(self, data: dict) -> list:
        """Predict fused poses for every box of every image.

        Args:
            data: `inputs`, a list of uint8 images (3, height, width), and
                `data_samples`, as `PackPoseInputs` makes them of whole images.

        Returns:
            The data samples, with `pred_instances` set as MMPose sets them, plus
            `keypoint_agreement`, `keypoints_known` (whether finite in every view),
            `num_views`, and `bboxes`, the boxes of their crops; coordinates in pixels
            of the image.

        Raises:
            UserError: If the pipeline makes a list of views of an image.
        """
        images, samples = whole_images(data)
        if not samples:
            return []
        boxes = [np.reshape(s.gt_instances.bboxes, (-1, 4)) for s in samples]
        flip_indices = self._flip_indices(samples[0].metainfo)
        if self.box_fit is not None:
            boxes = self._fitted(self.box_fit, images, boxes, flip_indices)
        reductions = [reduction_in(sample.metainfo) for sample in samples]
        poses = self.fuse(images, boxes, flip_indices, reductions=reductions)
        ends = np.cumsum([len(rows) for rows in boxes])
        for sample, rows, end in zip(samples, boxes, ends, strict=True):
            self._pack(sample, rows, poses[end - len(rows) : end])
        return samples

    def val_step(self, data: dict) -> list:
        """Predict as `test_step` does."""
        return self.test_step(data)

    def merge_preds(self, data_samples_list: list) -> list:
        """Refuse: there are no predictions of single views to merge.

        Raises:
            UserError: Always.
        """
        raise views_refused()

    def _fitted(
        self,
        fit: BoxFit,
        images: Sequence[Tensor],
        boxes: Sequence[np.ndarray],
        flip_indices: Sequence[int],
    ) -> list[np.ndarray]:
        """Fit the boxes of each image around the poses of a first pass."""
        first = self.fuse(images, boxes, flip_indices, self._first_pass)
        counts = [len(rows) for rows in boxes]
        sizes = np.array([image.shape[:0:-1] for image in images])
        fitted = fit.boxes(
            first.keypoints[:, self._kept],
            first.keypoint_scores[:, self._kept],
            np.concatenate(boxes),
            np.repeat(sizes, counts, axis=0),
        )
        return np.split(fitted, np.cumsum(counts)[:-1])

    @torch.no_grad()
    def fuse(
        self,
        images: Sequence[Tensor],
        boxes: Sequence[np.ndarray],
        flip_indices: Sequence[int],
        plan: ViewPlan | None = None,
        reductions: Sequence[int] | None = None,
    ) -> FusedPoses:
        """Compute the fused poses of all boxes of some images.

        Args:
            images: Images in the channel order that the model's pipeline loads (BGR
                for MMPose's), values 0 to 255, each (3, height, width).
            boxes: Boxes (x1, y1, x2, y2) of each image, pixels, each (n, 4).
            flip_indices: Mirror partner of each keypoint, (K,).
            plan: Plan of the views, by default that of the wrapper.
            reductions: Factor by which each image was decoded smaller, by default 1;
                boxes and poses are in pixels of the image at its full size.

        Returns:
            The poses of all boxes, image by image.

        Raises:
            UserError: If an image with boxes has no pixels or not three channels.
        """
        check_images(images, boxes)
        device = next(self.module.parameters()).device
        run = self._run(plan or self.plan, flip_indices, device)
        return run.of_boxes(images, boxes, reductions)

    @torch.no_grad()
    def fuse_crops(
        self, crops_of: CropsOf, crops: Crops, flip_indices: Sequence[int]
    ) -> FusedPoses:
        """Compute the fused poses of instances whose crops are cut elsewhere.

        Args:
            crops_of: Function that returns the crops of a view of some of the
                instances, values 0 to 255, (n, 3, H, W).
            crops: Reference crops of the instances, of all teachers.
            flip_indices: Mirror partner of each keypoint, (K,).
        """
        run = self._run(self.plan, flip_indices, crops.centers.device)
        return run.of_crops(crops_of, crops)

    def _run(
        self, plan: ViewPlan, flip_indices: Sequence[int], device: torch.device
    ) -> TeacherRun:
        fuser = ViewFuser(
            plan,
            self.fusion,
            self.sigmas,
            self.teachers[0].kept,
            flip_indices,
            self.forward_batch_size or batch_size_on(device),
            self._selects,
            self.adaptive,
        )
        return TeacherRun(self.teachers, fuser, device, self.offload)

    @property
    def _selects(self) -> bool:
        """Whether outputs are those of the returned keypoints before they are fused."""
        return len(self.teachers) > 1

    def _flip_indices(self, metainfo: Mapping[str, Any]) -> Sequence[int]:
        """Mirror partners of the keypoints that are fused, (K,)."""
        if self._selects:
            partners: Sequence[int] = metainfo['flip_indices']
            return partners
        partners = flip_indices_of(self.module, metainfo)
        if any(view.flip for view in self.plan.views) and not self.module.metainfo:
            check_output_order(self.output_indices, partners)
        return partners

    @property
    def _kept(self) -> Any:
        """Index of the fused keypoints that are returned."""
        kept = None if self._selects else self.teachers[0].kept
        return slice(None) if kept is None else kept

    def _pack(self, sample: Any, bboxes: np.ndarray, poses: FusedPoses) -> None:
        """Set the predictions of one image, as the wrapped estimator would."""
        keep = self._kept
        instances = sample.gt_instances
        sample.pred_instances = InstanceData(
            keypoints=poses.keypoints[:, keep],
            keypoint_scores=poses.keypoint_scores[:, keep],
            keypoints_visible=poses.keypoints_visible[:, keep],
            keypoint_agreement=poses.keypoint_agreement[:, keep],
            keypoints_known=poses.known[:, keep],
            num_views=poses.num_views,
            bboxes=bboxes,
            bbox_scores=instances.bbox_scores,
        )
        # CocoMetric reads the area of an instance from here; MMPose's
        # TopdownAffine writes the extent of the crop to it.
        boxes = torch.from_numpy(np.asarray(bboxes, dtype=np.float32))
        instances.bbox_scales = self.teachers[0].crops(boxes).extents.numpy()
