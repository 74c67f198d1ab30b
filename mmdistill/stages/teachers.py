"""The teachers of a recipe, as their fusing wrapper and its guard take them.

One teacher or an ensemble: each has the model and the test pipeline of its config, and
its checkpoint. Their keypoints are those of the labeled set by name; one that has them
in another order returns them in that of the labeled set.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.datasets import end_pipeline, unparsed_metainfo
from mmdistill.config.detector_options import VOTE_THR
from mmdistill.config.files import read_config
from mmdistill.config.metainfo import keypoint_names, order_keypoints
from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import TeacherConfig, ViewsConfig, is_type, stated
from mmdistill.errors import ConfigError, UserError
from mmdistill.stages.image_teachers import (
    are_finders,
    check_crop_views,
    head_name,
    image_views,
    resize_settings,
)

LOADERS = ('test_dataloader', 'val_dataloader')
"""Loaders whose pipeline and keypoints are those of a model, best first."""


@dataclass(frozen=True)
class FusedTeacher:
    """A teacher with the keypoints of the labels.

    Attributes:
        checkpoint: Its weights, a file or an address.
        model: Config of its model, which returns the keypoints of the labeled set in
            their order.
        inputs: How its test pipeline makes network inputs, see `input_settings`.
    """

    checkpoint: str | None
    model: Mapping[str, Any]
    inputs: Mapping[str, Any]

    @property
    def member(self) -> dict[str, Any]:
        """The teacher as an element of the wrapper's `ensemble`."""
        return dict(module=copy.deepcopy(self.model), **self.inputs)


def fused_teachers(recipe: Recipe, names: Sequence[str]) -> list[FusedTeacher]:
    """Read the teachers of a recipe.

    Args:
        recipe: The recipe.
        names: Names of the labeled set's keypoints, (K,).

    Raises:
        ConfigError: If one has no model or does not state how its inputs are made, or
            has other keypoints.
    """
    return [
        _fused_teacher(recipe.config, teacher, names)
        for teacher in recipe.distill.teachers
    ]


def teacher_config(config: Config, teacher: TeacherConfig) -> Config:
    """Read the config that has a teacher's model and its test pipeline.

    Args:
        config: The recipe's config, which has it where the teacher states none.
        teacher: The teacher.
    """
    if teacher.config is None:
        return config
    read = read_config(teacher.config, 'the teacher config')
    order_keypoints(read)
    return read


def fused_model(
    teachers: Sequence[FusedTeacher],
    views: ViewsConfig,
    sigmas: Sequence[float],
    score_floor: float | None = None,
) -> dict[str, Any]:
    """Config of the wrapper that fuses the views of teachers.

    Args:
        teachers: The teachers, at least one.
        views: The views.
        sigmas: OKS sigmas of the labeled set, (K,).
        score_floor: Score down to which teachers that find instances return them; None
            for their own thresholds.

    Raises:
        ConfigError: If the views do not suit the teachers, one is stated that is for
            detectors, or some teachers find instances and some need boxes.
    """
    if views.vote_thr != VOTE_THR:
        raise ConfigError(
            'distill.views.vote_thr is for detectors, whose boxes are merged by '
            f'voting, and this teacher fuses keypoints, got {views.vote_thr}'
        )
    first, *others = (teacher.member for teacher in teachers)
    ensemble = dict(ensemble=others) if others else {}
    if are_finders([teacher.model for teacher in teachers]):
        floor = {} if score_floor is None else dict(score_floor=score_floor)
        return dict(
            type='mmdistill.PoseFinder',
            **first,
            sigmas=list(sigmas),
            **image_views(views, head_name(teachers[0].model)),
            **floor,
            **ensemble,
        )
    check_crop_views(views)
    return dict(
        type='mmdistill.HeatmapFusionTTA',
        **first,
        sigmas=list(sigmas),
        **stated(views),
        **ensemble,
    )


def guard_config(
    teachers: Sequence[FusedTeacher], names: Sequence[str]
) -> dict[str, Any]:
    """Config of the hook that compares teachers with their checkpoints.

    Args:
        teachers: The teachers, of which the runner loads the first.
        names: Names of the labeled set's keypoints, (K,).
    """
    hook: dict[str, Any] = dict(
        type='mmdistill.TeacherGuardHook', keypoint_names=list(names)
    )
    if len(teachers) > 1:
        hook['ensemble'] = [str(teacher.checkpoint) for teacher in teachers[1:]]
    return hook


def input_settings(
    model: Mapping[str, Any], pipeline: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Read how a test pipeline makes the network inputs of a model.

    Args:
        model: Config of the model.
        pipeline: Configs of the transforms.

    Returns:
        Arguments of the wrapper that fuses its views.

    Raises:
        ConfigError: If the model takes whole images, and the pipeline does not say how.
    """
    if are_finders([model]):
        return resize_settings(pipeline, head_name(model))
    return crop_settings(pipeline)


def crop_pipeline(config: Config) -> list[Any]:
    """The pipeline that says how a model's crops are cut: that of its test set.

    Without a test set it is that of the validation set.

    Args:
        config: A top-down config of MMPose.

    Raises:
        ConfigError: If it has neither.
    """
    for key in LOADERS:
        dataset = (config.get(key) or {}).get('dataset')
        pipeline = end_pipeline(dataset) if dataset else []
        if pipeline:
            return pipeline
    raise ConfigError(
        f'{config.filename} does not say how the crops of its model are cut: neither '
        'test_dataloader nor val_dataloader has a dataset with a pipeline; give one '
        'of them'
    )


def crop_settings(pipeline: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Read how a top-down test pipeline cuts its crops.

    Args:
        pipeline: Configs of the transforms.

    Returns:
        `padding` and `use_udp` for `HeatmapFusionTTA`.
    """
    affine, box = (
        next((step for step in pipeline if is_type(step, name)), {})
        for name in ('TopdownAffine', 'GetBBoxCenterScale')
    )
    return dict(
        padding=box.get('padding', 1.25),
        use_udp=affine.get('use_udp', False) if affine else None,
    )


def wrapped_config(
    config: Config, views: ViewsConfig, sigmas: Sequence[float], copies: int = 1
) -> dict[str, Any]:
    """Config of the wrapper for the model of one config.

    Args:
        config: A config of MMPose.
        views: The views.
        sigmas: OKS sigmas of its keypoints, (K,).
        copies: Number of teachers that have this model.
    """
    model = _model(config)
    member = FusedTeacher(None, model, input_settings(model, crop_pipeline(config)))
    return fused_model([member] * copies, views, sigmas)


def _fused_teacher(
    config: Config, teacher: TeacherConfig, names: Sequence[str]
) -> FusedTeacher:
    own = teacher_config(config, teacher)
    try:
        model = _model(own)
        inputs = input_settings(model, crop_pipeline(own))
    except ConfigError as error:
        raise ConfigError(
            f'{error}, or name another config in distill.teacher.config'
        ) from error
    _give_out_all(model, len(names))
    if teacher.config is not None:
        _return_in_labeled_order(own, model, names)
    return FusedTeacher(teacher.checkpoint, model, inputs)


def _return_in_labeled_order(
    config: Config, model: dict[str, Any], names: Sequence[str]
) -> None:
    """Let a model return its keypoints in the order of the labeled set, by name.

    One of other keypoints is left to the comparison with its checkpoint.
    """
    metainfo = _trained_on(config)
    if metainfo is None:
        return
    own = keypoint_names(parse_pose_metainfo(copy.deepcopy(metainfo)))
    test_cfg = dict(model.get('test_cfg') or {})
    channels = test_cfg.get('output_keypoint_indices') or range(len(own))
    if max(channels) >= len(own):
        return
    returned = [own[channel] for channel in channels]
    if returned == list(names) or sorted(returned) != sorted(names):
        return
    if are_finders([model]):
        raise ConfigError(
            f'{config.filename} has the keypoints of the labeled set in another order, '
            f'and {head_name(model)} cannot return them in that of the labeled set; '
            'order the labeled set as the teacher, or use a top-down teacher'
        )
    by_name = dict(zip(returned, channels, strict=True))
    test_cfg['output_keypoint_indices'] = [by_name[name] for name in names]
    # Left and right are swapped among the keypoints of the head.
    model.update(test_cfg=test_cfg, metainfo=model.get('metainfo') or metainfo)


def _trained_on(config: Config) -> dict[str, Any] | None:
    """Metainfo of the keypoints of a model's head; None where no data set states it."""
    for key in ('train_dataloader', *LOADERS):
        dataset = (config.get(key) or {}).get('dataset')
        if dataset:
            with contextlib.suppress(UserError):
                return unparsed_metainfo(dataset)
    return None


def _give_out_all(model: dict[str, Any], labeled: int) -> None:
    """Let a teacher return all its keypoints, where the labels have others.

    A model of merged data sets predicts more keypoints than its own test set has, and
    returns those of the test set; the labeled set has them all.
    """
    kept = (model.get('test_cfg') or {}).get('output_keypoint_indices')
    if kept is not None and len(kept) != labeled:
        del model['test_cfg']['output_keypoint_indices']


def _model(config: Config) -> dict[str, Any]:
    if not config.get('model'):
        raise ConfigError(
            f'{config.filename} has no model to fuse views of; give it one'
        )
    return dict(copy.deepcopy(config.model))
