"""The config of each stage, made of the one config that a user writes."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmpose.datasets.transforms import PackPoseInputs

from mmdistill.config.datasets import (
    end_pipeline,
    labeled_part,
    leak_guard_config,
    members_of,
    parsed_metainfo,
    registered_dataset,
    uncut,
    unparsed_metainfo,
    with_end_pipeline,
)
from mmdistill.config.detectors import distills_boxes, is_detector
from mmdistill.config.metainfo import (
    READ_BY_HEADS,
    keypoint_names,
    order_keypoints,
)
from mmdistill.config.recipe import Recipe, check_checkpoint, stated_views
from mmdistill.config.schema import (
    SCORE_FLOOR,
    TeacherConfig,
    dicts_within,
    is_type,
    stated,
)
from mmdistill.config.text import TextConfig
from mmdistill.errors import ConfigError
from mmdistill.stages.image_teachers import (
    are_finders,
    check_image_teachers,
    refit_arguments,
    resizes,
)
from mmdistill.stages.teachers import (
    fused_model,
    fused_teachers,
    guard_config,
    teacher_config,
    wrapped_config,
)
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS, LABELS

RUNTIME = (
    *('default_scope', 'env_cfg', 'launcher', 'log_level', 'randomness'),
    'custom_imports',
)
"""Settings of a config that are about the run and not about its stage.

Where a training logs to is not among them: a labeling has no losses, and services that
name one run a process would take it for the training that follows.
"""


def label_config(recipe: Recipe, teacher_needed: bool = True) -> Config:
    """The config of stage 1: a plain test config, also for MMPose's own tools.

    Args:
        recipe: The recipe.
        teacher_needed: Whether the teacher's checkpoint must be there.

    Raises:
        UserError: If the recipe names a missing file.
    """
    if distills_boxes(recipe):
        # It is made of that of detecting, which is made of what is here.
        from mmdistill.stages.box_labels import box_label_config

        return box_label_config(recipe, teacher_needed)
    config, distill = recipe.config, recipe.distill
    models = check_models(recipe)
    if teacher_needed:
        for teacher in distill.teachers:
            check_checkpoint('teacher', teacher)
    labeled = labeled_config(recipe)
    parsed = parsed_metainfo(labeled)
    names = keypoint_names(parsed)
    teachers = fused_teachers(recipe, names)
    labeling = distill.labeling
    stage = runtime_settings(config)
    stage.update(
        # A name of its own: runs of the same second would share MMEngine's registries.
        experiment_name='label',
        work_dir=str(Path(config.work_dir, 'label')),
        load_from=distill.teachers[0].checkpoint,
        model=fused_model(
            *(teachers, distill.views, parsed['sigmas'].tolist()),
            SCORE_FLOOR if labeling.score_floor is None else labeling.score_floor,
        ),
        test_dataloader=dict(
            batch_size=labeling.batch_size,
            num_workers=labeling.num_workers,
            dataset=dict(
                images_config(recipe),
                leak_guard=leak_guard_config(recipe, labeled),
                **(dict(with_boxes=False) if are_finders(models) else {}),
            ),
        ),
        test_cfg=dict(
            type='mmdistill.LabelLoop',
            store=distill.store,
            **labeling.loop_arguments,
        ),
        test_evaluator=[],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=20)),
        custom_hooks=[
            guard_config(teachers, names),
            *_labeled_hooks(recipe, labeled, models),
        ],
    )
    order_keypoints(stage)
    return TextConfig(stage, filename=config.filename)


def _labeled_hooks(
    recipe: Recipe, labeled: dict[str, Any], models: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Hooks that compare labels with the labeled set."""
    return [
        dict(
            type='mmdistill.CountMatchingHook',
            labeled=labeled,
            **stated(recipe.distill.selection),
        ),
        dict(
            type='mmdistill.BoxFitHook',
            labeled=copy.deepcopy(labeled),
            **refit_arguments(recipe, models),
        ),
    ]


def check_models(recipe: Recipe) -> list[Mapping[str, Any]]:
    """Refuse a teacher that cannot be fused, or an unfit student.

    Args:
        recipe: The recipe.

    Returns:
        Configs of the teachers' models; none of a detector's.

    Raises:
        UserError: If one is, in the same words at whatever stage it is first met, or a
            recipe of a detector states what that has no use for.
    """
    if distills_boxes(recipe):
        from mmdistill.stages.box_labels import check_detectors

        check_detectors(recipe)
        return []
    # The models of MMPose take seconds to import, which choosing labels need not.
    from mmdistill.models.adapters.build import check_estimator
    from mmdistill.stages.image_students import check_student

    models = teacher_models(recipe)
    if models and are_finders(models):
        check_image_teachers(recipe, models)
    else:
        for model in models:
            check_estimator(model)
    check_student(recipe.config)
    return models


def label_store(recipe: Recipe) -> LabelStore:
    """The store of a recipe's labels: of poses, or of a detector's boxes.

    Args:
        recipe: The recipe.
    """
    kind = BOX_LABELS if distills_boxes(recipe) else LABELS
    return LabelStore(recipe.distill.store, kind)


def teacher_models(recipe: Recipe) -> list[Mapping[str, Any]]:
    """Read the configs of the models of a recipe's teachers, of those that have one.

    Args:
        recipe: The recipe.
    """
    configs = (teacher_config(recipe.config, each) for each in recipe.distill.teachers)
    return [config.model for config in configs if config.get('model')]


def runtime_settings(config: Config) -> dict[str, Any]:
    """A copy of what a config says about the run.

    Args:
        config: Any config.
    """
    return {key: copy.deepcopy(config[key]) for key in RUNTIME if key in config}


def images_config(recipe: Recipe) -> dict[str, Any]:
    """Config of the unlabeled images.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If the recipe has no labeled set, whose keypoints the images take.
    """
    if distills_boxes(recipe):
        from mmdistill.stages.box_labels import NO_KEYPOINTS

        metainfo = NO_KEYPOINTS
    else:
        metainfo = unparsed_metainfo(labeled_config(recipe))
    return dict(
        type='mmdistill.UnlabeledDataset',
        metainfo=metainfo,
        labeled=[
            _coco_files(member)
            for member in labeled_members(recipe)
            if member.get('ann_file')
        ],
        **recipe.distill.unlabeled_arguments,
    )


def _coco_files(dataset: Mapping[str, Any]) -> dict[str, str]:
    """The json of a data set, and the folder of its images."""
    root = dataset.get('data_root') or ''
    prefix = (dataset.get('data_prefix') or {}).get('img', '')
    return dict(
        ann_file=str(Path(root, dataset['ann_file'])), img_root=str(Path(root, prefix))
    )


def own_teacher_config(config: Config, checkpoints: Sequence[str]) -> Config:
    """The config that checkpoints are tested by: a teacher's own, where they are its.

    Args:
        config: A test config, with or without `distill`.
        checkpoints: The checkpoints.

    Returns:
        The config that `distill.teacher` names for one of these checkpoints, with the
        recipe's section, work folder and weights; else `config` itself.
    """
    section = config.get('distill') or {}
    paths = {os.path.realpath(path) for path in checkpoints}
    own = [
        TeacherConfig(part['checkpoint'], part['config'])
        for part in dicts_within(section.get('teacher'))
        if part.get('config')
        and part.get('checkpoint')
        and os.path.realpath(part['checkpoint']) in paths
    ]
    if not own:
        return config
    read = teacher_config(config, own[0])
    for key in ('distill', 'work_dir', 'load_from', 'launcher'):
        read[key] = config.get(key)
    print_log(
        f'{own[0].checkpoint} is a teacher of {config.filename}: it is tested by its '
        f'own config {own[0].config}',
        logger='current',
    )
    return read


def tta_config(config: Config, checkpoints: Sequence[str] = ()) -> Config:
    """The config with its model wrapped, to evaluate it with fused views.

    The data set and the metric stay; the pipeline cuts no crops any more, but gives
    whole images, and a checkpoint that does not fit is refused as a
    teacher's is.

    Args:
        config: A test config of MMPose or MMDetection, with or without `distill`.
        checkpoints: Further checkpoints of the model, whose outputs are fused with
            those of `load_from`.

    Raises:
        ConfigError: If it has no test set, no model or no pipeline that makes inputs.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    if not dataset:
        raise ConfigError(
            f'{config.filename} has no test_dataloader.dataset to evaluate on'
        )
    if is_detector(config):
        from mmdistill.stages.box_labels import box_tta_config

        return box_tta_config(config, checkpoints)
    config = copy.deepcopy(config)
    order_keypoints(config)
    dataset = config.test_dataloader.dataset
    views, sigmas = stated_views(config), parsed_metainfo(dataset)['sigmas'].tolist()
    config.model = wrapped_config(config, views, sigmas, 1 + len(checkpoints))
    guard: dict[str, Any] = dict(type='mmdistill.TeacherGuardHook', role='tested')
    if checkpoints:
        guard['ensemble'] = list(checkpoints)
    guards = [guard, dict(type='mmdistill.FiniteGuardHook')]
    config.custom_hooks = [*(config.get('custom_hooks') or []), *guards]
    config.test_dataloader.dataset = with_end_pipeline(
        dataset, whole_image_pipeline(end_pipeline(dataset))
    )
    return config


def image_results(config: Config, file: str) -> dict[str, Any]:
    """Config of the evaluator that writes the results of each tested image.

    Args:
        config: A test config of MMPose or MMDetection.
        file: The file to write.

    Raises:
        ConfigError: If a detector is tested on several sets, or on one without a json.
    """
    if not is_detector(config):
        return dict(type='mmdistill.InstanceResults', out_file=file)
    members = members_of(config.test_dataloader.dataset)
    if len(members) != 1 or not members[0].get('ann_file'):
        raise ConfigError(
            'the results of each image of a detector need one test set with an '
            f'ann_file, that of {config.filename} has {len(members)} data sets; name '
            'one in test_dataloader.dataset'
        )
    return dict(type='mmdistill.BoxResults', out_file=file, **_coco_files(members[0]))


def labeled_config(recipe: Recipe) -> dict[str, Any]:
    """Config of the labeled data set, to be counted: only keypoints are converted.

    It may be made of several, see `labeled_members`.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If the config trains on no labeled set and names none, or on one
            of a class that is not there.
    """
    labeled = _labeled(recipe)
    if distills_boxes(recipe):
        from mmdistill.stages.box_labels import counted_boxes

        return counted_boxes(labeled)
    for member in members_of(labeled):
        registered_dataset(member)
    return uncut(labeled)


def labeled_members(recipe: Recipe) -> list[dict[str, Any]]:
    """Configs of the data sets that the labeled set is made of.

    Each has an annotation file of its own; a set that is not made of several is its
    only member. Pipelines stay.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If the config trains on no labeled set and names none.
    """
    return [copy.deepcopy(dict(each)) for each in members_of(_labeled(recipe))]


def _labeled(recipe: Recipe) -> Mapping[str, Any]:
    """The labeled side of the training set, or what `distill.labeled` names."""
    config, dataset = recipe.config, recipe.distill.labeled
    if dataset is None:
        dataset = (config.get('train_dataloader') or {}).get('dataset')
    if not dataset:
        raise ConfigError(
            f'{config.filename} has no labeled set to count: it has no '
            'train_dataloader.dataset; name one in distill.labeled'
        )
    return labeled_part(dataset)


def whole_image_pipeline(pipeline: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A test pipeline that gives whole images, for the wrappers that fuse views.

    Where it resized whole images, their samples are packed with the keypoints' partners
    and links, which stock pipelines of one-stage models leave out.

    Args:
        pipeline: Configs of the transforms.
    """
    kept = [
        step
        for step in pipeline
        if not is_type(step, 'TopdownAffine') and not resizes(step)
    ]
    if not any(map(resizes, pipeline)):
        return kept
    return [
        _packing_partners(step) if is_type(step, 'PackPoseInputs') else step
        for step in kept
    ]


def _packing_partners(step: Mapping[str, Any]) -> dict[str, Any]:
    """A packing transform whose samples have the metainfo that heads read."""
    keys = step.get('meta_keys') or PackPoseInputs().meta_keys
    return dict(step, meta_keys=tuple(dict.fromkeys([*keys, *READ_BY_HEADS])))
