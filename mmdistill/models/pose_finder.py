"""Test-time augmentation of models that find the instances of an image themselves.

Bottom-up and one-stage models take whole images. Each view is the image at another
resolution, mirrored or not; the model predicts poses in each, as in MMPose, and poses
of the same instance are matched by their OKS and become one.
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
from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.box_fit import DEFAULT_MARGINS, BoxFit
from mmdistill.functional.pose_matching import MergedPoses
from mmdistill.functional.reduced_decoding import ImageSampling, Sampling, SamplingOfAll
from mmdistill.functional.view_plan import ViewPlan, make_views
from mmdistill.models.ensemble import names_of, ordered_module
from mmdistill.models.image_runs import ImageRun, SeenImage
from mmdistill.models.image_teacher import ImageInputs, ImageTeacher
from mmdistill.models.keypoints import flip_indices_of, sigmas_of
from mmdistill.models.network import batch_size_on
from mmdistill.models.setting_checks import (
    adaptive_rule,
    check_fusion,
    check_switches,
    views_refused,
    whole_images,
)
from mmdistill.registry import MODELS

_NO_PIXELS = np.zeros((0, 0, 3), dtype=np.uint8)
"""Pixels of an image that cannot be read."""


@MODELS.register_module()
class PoseFinder(BaseTTAModel):
    """Wrap a bottom-up or one-stage estimator so that it predicts from several views.

    It takes whole images and needs no boxes. The wrapped model's own head and codec
    predict each view, so one view alone is MMPose's own prediction; its `flip_test` is
    not run. Checkpoints of the model load into the wrapper.

    Args:
        module: The pose estimator, or its config.
        input_size: Width and height of its input, as `BottomupResize` of its own test
            pipeline has them, and so the three after it.
        resize_mode: 'fit' or 'expand', or 'rescale' where the image is the input.
        size_factor: Number that divides both sides of an input.
        pad_val: Value of the pixels beyond the image.
        flip: Whether every view is also mirrored.
        resolutions: Factors of both sides of the input.
        match_thr: OKS from which on poses of two views are of one instance.
        size_dependent: Whether small instances of smaller inputs and large ones of
            larger inputs are left out, as Detectron's `SCALE_SIZE_DEP`.
        small_area: Area of a box, squared pixels of the image, below which an
            instance is small.
        large_area: Area of a box from which on an instance is large.
        sigmas: Per-keypoint OKS sigmas of the data set.
        score_floor: Score down to which instances are returned, where the model's test
            config has a higher threshold; None leaves that as it is.
        forward_batch_size: Images in a forward pass, at resolution 1. By default 8 on
            a CPU, else 64.
        channels_last: Whether the model runs in channels-last memory format.
        fold_batch_norm: Whether batch norms are folded into the convolutions before
            them, in a copy of the model; only rounding changes.
        precision: 'float32', or 'bfloat16' or 'float16' to run the backbone and the
            neck, and only these, under autocast.
        ensemble: Further teachers, each with its `module` and the settings of its
            input; their views are views as those of `module` are.
        backend: Library that resizes an image that is the input, 'cv2' or 'pillow'.
        adaptive: Agreement from which on an image is shown in no further views: that
            of its instances, weighted by their evidence. By default every image is
            shown in all.
        adaptive_groups: Number of views in each group that is shown before agreement
            is compared; the last group has the rest.

    Attributes:
        teachers: The teachers, that of `module` first.
        box_fit: Where set, boxes of a model that predicts none have its margins
            around their poses.

    Raises:
        UserError: If a setting is invalid, or the wrapped model's head cannot be fused.
    """

    def __init__(
        self,
        module: dict | torch.nn.Module,
        input_size: Sequence[int],
        resize_mode: str = 'fit',
        size_factor: int = 32,
        pad_val: float | Sequence[float] = (0, 0, 0),
        flip: bool = ViewsConfig.flip,
        resolutions: Sequence[float] = ViewsConfig.resolutions,
        match_thr: float = ViewsConfig.match_thr,
        size_dependent: bool = ViewsConfig.size_dependent,
        small_area: float = ViewsConfig.small_area,
        large_area: float = ViewsConfig.large_area,
        sigmas: Sequence[float] | None = None,
        score_floor: float | None = None,
        forward_batch_size: int | None = ViewsConfig.forward_batch_size,
        channels_last: bool = ViewsConfig.channels_last,
        fold_batch_norm: bool = ViewsConfig.fold_batch_norm,
        precision: str = ViewsConfig.precision,
        data_preprocessor: dict | torch.nn.Module | None = None,
        ensemble: Sequence[Mapping[str, Any]] = (),
        backend: str = 'cv2',
        adaptive: float | None = ViewsConfig.adaptive,
        adaptive_groups: Sequence[int] = ViewsConfig.adaptive_groups,
    ) -> None:
        super().__init__(
            module=ordered_module(module), data_preprocessor=data_preprocessor
        )
        check_switches(flip=flip, size_dependent=size_dependent)
        check_fusion('mean', 1.0, forward_batch_size)
        if not 0 <= match_thr <= 1:
            raise ConfigError(f'match_thr must be from 0 to 1, got {match_thr!r}')
        try:
            views = make_views((1.0,), flip, resolutions=resolutions)
            areas = (small_area, large_area) if size_dependent else None
            self.plan = ViewPlan(views, areas)
        except ValueError as error:
            raise ConfigError(f'views: {error}') from error
        self.box_fit: BoxFit | None = None
        self.match_thr = match_thr
        self.sigmas = sigmas
        self.score_floor = score_floor
        self.forward_batch_size = forward_batch_size
        self.precision = precision
        memory = torch.channels_last if channels_last else torch.contiguous_format
        running = (score_floor, memory, precision, fold_batch_norm)
        inputs = ImageInputs.of(
            *(input_size, resize_mode, size_factor, pad_val, backend)
        )
        first = ImageTeacher(self.module, inputs, *running)
        # Not submodules, as those of `HeatmapFusionTTA`.
        others = [_build_teacher(part, running) for part in ensemble]
        self.teachers = (first, *others)
        self.adaptive = adaptive_rule(adaptive, adaptive_groups)
        self._resolutions = tuple(dict.fromkeys(view.resolution for view in views))
        self._check_teachers(names_of(ensemble))

    def _check_teachers(self, names: Sequence[str]) -> None:
        """Refuse teachers whose poses cannot be fused with those of the first."""
        first = self.teachers[0]
        first.check_resolutions(self._resolutions)
        for name, other in zip(names, self.teachers[1:], strict=True):
            other.check_resolutions(self._resolutions)
            for what, own, its in (
                ('return the same keypoints', first.num_keypoints, other.num_keypoints),
                (
                    'score instances alike',
                    first.finder.score_mode,
                    other.finder.score_mode,
                ),
            ):
                if own != its:
                    raise ConfigError(
                        f'{name}: teachers of an ensemble must {what}, got {own} and '
                        f'{its}'
                    )

    @property
    def ensemble(self) -> list[torch.nn.Module]:
        """The pose estimators beside `module`."""
        return [teacher.module for teacher in self.teachers[1:]]

    @property
    def output_indices(self) -> None:
        """None: all keypoints are returned, in their order."""
        return

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints that are returned, K."""
        return self.teachers[0].num_keypoints

    def sampling(self) -> Sampling:
        """Return how densely the views sample an image."""
        return SamplingOfAll(
            [
                ImageSampling(teacher.inputs.rule, self._resolutions)
                for teacher in self.teachers
            ]
        )

    @property
    def views_per_box(self) -> int:
        """Number of inputs of an image."""
        return len(self.teachers) * len(self.plan.views)

    @property
    def work_per_box(self) -> float:
        """Pixels of those inputs, in inputs at the size of each model."""
        resolutions = [view.resolution for view in self.plan.views]
        return sum(teacher.work(resolutions) for teacher in self.teachers)

    def provenance(self) -> dict[str, Any]:
        """Settings that decide the labels besides the model, as JSON values."""
        inputs, *others = (teacher.inputs.provenance() for teacher in self.teachers)
        return {
            'views': [str(view) for view in self.plan.views],
            'fusion': 'matched poses',
            'match_thr': self.match_thr,
            'areas': self.plan.areas,
            'instance_score': self.teachers[0].finder.score_mode,
            'least_score': self.score_floor,
            'precision': self.precision,
            **inputs,
            **self._box_provenance(),
            **({'ensemble': others} if others else {}),
            **({} if self.adaptive is None else {'adaptive': self.adaptive.as_json()}),
        }

    def _box_provenance(self) -> dict[str, Any]:
        if self.teachers[0].finder.has_boxes:
            return {}
        if self.box_fit is None:
            return {'box_margins': list(DEFAULT_MARGINS)}
        return {'box_fit': self.box_fit.as_json()}

    @torch.no_grad()
    def test_step(self, data: dict) -> list:
        """Predict the fused poses of all instances of every image.

        Args:
            data: `inputs`, a list of uint8 images (3, height, width), and
                `data_samples`, as `PackPoseInputs` makes them of whole images, with
                `flip_indices` in their metainfo.

        Returns:
            The data samples, with `pred_instances` set, best instance first: the
            fields of MMPose, `keypoint_agreement`, `keypoints_known`, `num_views` (of
            the views that found it; where they are adaptive, those that were shown),
            `bboxes`, `bbox_scores`, `instance_scores` and
            `category_ids`; coordinates in pixels of the image.

        Raises:
            UserError: If the pipeline makes a list of views of an image, an image has
                no pixels or not three channels, or the partners of its keypoints are
                not those of the model.
        """
        images, samples = whole_images(data)
        if not samples:
            return []
        metainfo = [self._metainfo(sample.metainfo) for sample in samples]
        readable = [i for i, image in enumerate(images) if image.numel()]
        run = self._run
        seen = run.show(
            [_pixels(images[i]) for i in readable], [metainfo[i] for i in readable]
        )
        by_number = dict(zip(readable, seen, strict=True))
        for number, sample in enumerate(samples):
            image = by_number.get(number) or SeenImage(_NO_PIXELS, metainfo[number])
            self._pack(sample, run.fuse(image), image)
        return samples

    def val_step(self, data: dict) -> list:
        """Predict as `test_step` does."""
        return self.test_step(data)

    def merge_preds(self, data_samples_list: list) -> list:
        """Refuse: views are made here, not by a pipeline.

        Raises:
            UserError: Always.
        """
        raise views_refused()

    def _metainfo(self, metainfo: Mapping[str, Any]) -> dict[str, Any]:
        """Metainfo of a sample with the mirror partners of the model's keypoints."""
        partners = flip_indices_of(self.module, metainfo)
        if len(partners) != self.num_keypoints:
            raise ConfigError(
                'flip_indices must name a partner for each of the '
                f'{self.num_keypoints} keypoints of the model, got {len(partners)}; '
                'the keypoints of the data set must be those of the model'
            )
        return {**metainfo, 'flip_indices': list(partners)}

    @property
    def _run(self) -> ImageRun:
        device = next(self.module.parameters()).device
        return ImageRun(
            self.teachers,
            self.plan,
            self.forward_batch_size or batch_size_on(device),
            device,
            self.match_thr,
            np.array(sigmas_of(self.sigmas, None, self.num_keypoints)),
            DEFAULT_MARGINS if self.box_fit is None else self.box_fit.margins,
            self.adaptive,
        )

    def _pack(self, sample: Any, poses: MergedPoses, image: SeenImage) -> None:
        """Set the predictions of one image, as the wrapped estimator would.

        An image of which nothing is finite has one instance that is unknown.
        """
        unknown = image.broken and not len(poses)
        if unknown:
            poses = _unknown_pose(self.num_keypoints)
        scores = poses.keypoint_scores.astype(np.float32)
        of_instances = poses.scores.astype(np.float32)
        shown = len(self.teachers) * len(image.views)
        all_shown = np.full(len(poses), shown, dtype=np.int32)
        sample.pred_instances = InstanceData(
            keypoints=poses.keypoints.astype(np.float32),
            keypoint_scores=scores,
            keypoints_visible=scores,
            keypoint_agreement=poses.keypoint_agreement.astype(np.float32),
            keypoints_known=np.full(scores.shape, not unknown),
            num_views=poses.num_views if self.adaptive is None else all_shown,
            bboxes=poses.bboxes.astype(np.float32),
            bbox_scores=of_instances,
            instance_scores=of_instances,
            category_ids=poses.category_ids.astype(np.int32),
        )


def _build_teacher(part: Mapping[str, Any], running: tuple) -> ImageTeacher:
    """Build a further teacher of an ensemble."""
    module = ordered_module(part['module'])
    if isinstance(module, dict):
        module = MODELS.build(module)
    settings = {k: v for k, v in part.items() if k not in ('module', 'name')}
    return ImageTeacher(module.eval(), ImageInputs.of(**settings), *running)


def _pixels(image: Tensor) -> np.ndarray:
    """Image as OpenCV has it, (height, width, 3)."""
    if image.ndim != 3 or image.shape[0] != 3:
        raise DataError(
            f'an image must have the shape (3, height, width), got {tuple(image.shape)}'
        )
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())


def _unknown_pose(num_keypoints: int) -> MergedPoses:
    """A pose none of whose keypoints is known."""
    keypoints = np.zeros((1, num_keypoints, 2))
    return MergedPoses(
        *(keypoints, keypoints[..., 0], keypoints[..., 0], np.zeros((1, 4))),
        *(np.zeros(1), np.ones(1), np.zeros(1, dtype=np.int32)),
    )
