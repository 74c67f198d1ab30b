"""The config of stage 1 where a detector is distilled: its teacher finds the boxes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mmengine.config import Config
from mmpose.registry import DATASETS

from mmdistill.config.datasets import (
    end_pipeline,
    leak_guard_config,
    members_of,
    with_end_pipeline,
)
from mmdistill.config.detector_options import BoxViewsConfig, DetectorConfig
from mmdistill.config.detectors import SCOPE, check_box_settings, is_detector
from mmdistill.config.recipe import Recipe, check_checkpoint, stated_views
from mmdistill.config.schema import is_type, stated
from mmdistill.config.text import TextConfig
from mmdistill.errors import ConfigError
from mmdistill.stages.box_views import view_pipelines
from mmdistill.stages.detect_config import (
    box_metainfo,
    checked_detector,
    classes_of,
    detecting_stage,
    detector_config,
    labeled_files,
    lower_score_threshold,
)
from mmdistill.stages.label_config import labeled_config, labeled_members

MIXING_WRAPPER = 'MultiImageMixDataset'
"""MMDetection's data set that mixes the images of another one."""
COUNTED = ('ConcatDataset', 'RepeatDataset', MIXING_WRAPPER)
"""Wrappers whose members are counted as often as training sees them."""
NO_KEYPOINTS: dict[str, Any] = dict(
    dataset_name='boxes',
    paper_info={},
    keypoint_info={},
    skeleton_info={},
    joint_weights=[],
    sigmas=[],
)
"""Metainfo of images without keypoints, in MMPose's form."""


def box_label_config(recipe: Recipe, teacher_needed: bool = True) -> Config:
    """The config of stage 1 of a detector: a plain test config.

    Args:
        recipe: A recipe of a detector.
        teacher_needed: Whether the teacher's checkpoint must be there.

    Raises:
        UserError: If the recipe names a missing file, states what is about keypoints,
            or its teacher is no detector.
    """
    check_detectors(recipe)
    if teacher_needed:
        check_checkpoint('teacher', recipe.distill.teachers[0])
    labeled = labeled_config(recipe)
    detector, source = labeling_detector(recipe), teacher_source(recipe)
    stage = detecting_stage(recipe, detector, source, 'label')
    loader, loop = stage['test_dataloader'], stage['test_cfg']
    loader['dataset']['images']['leak_guard'] = leak_guard_config(recipe, labeled)
    loop['labels'] = True
    stage['custom_hooks'] = [
        dict(
            type='mmdistill.DetectorGuardHook',
            classes=list(classes_of(source)),
            labeled_file=labeled_files(recipe),
            labeled_classes=list(labeled_metainfo(recipe)['classes']),
            role='teacher',
        ),
        dict(
            type='mmdistill.CountMatchingHook',
            labeled=labeled,
            **stated(recipe.distill.selection),
        ),
    ]
    return TextConfig(stage, filename=recipe.config.filename)


def labeling_detector(recipe: Recipe) -> DetectorConfig:
    """The teacher of a recipe as a detector whose store is that of the labels.

    Args:
        recipe: A recipe of a detector.
    """
    distill = recipe.distill
    views, run = distill.views, stated(distill.labeling)
    return DetectorConfig(
        checkpoint=distill.teachers[0].checkpoint,
        score_thr=run.get('score_floor', DetectorConfig.score_thr),
        nms_thr=run.get('nms_thr', DetectorConfig.nms_thr),
        views=BoxViewsConfig(views.scales, views.flip, views.vote_thr),
        boxes=distill.store,
    )


def box_tta_config(config: Config, checkpoints: Sequence[str] = ()) -> Config:
    """The config of a detector with its views merged, to evaluate it so.

    The data set and the metric stay; each image is seen in the views of
    `distill.views`, whose boxes are merged as labels are.

    Args:
        config: A test config of MMDetection, with or without `distill`.
        checkpoints: Further checkpoints of the model, of which there may be none.

    Raises:
        ConfigError: If there are further checkpoints, or its pipeline cannot be seen
            in views.
    """
    if checkpoints:
        raise ConfigError(
            'the views of one detector are merged, not those of several: --tta takes '
            f'one checkpoint, got {1 + len(checkpoints)}'
        )
    config = copy.deepcopy(config)
    stated_ones = stated_views(config)
    views = BoxViewsConfig(stated_ones.scales, stated_ones.flip, stated_ones.vote_thr)
    dataset = config.test_dataloader.dataset
    classes = list(classes_of(config))
    load, *steps = end_pipeline(dataset)
    seen = [dict(type='Compose', transforms=v) for v in view_pipelines(steps, views)]
    merging = dict(type='TestTimeAug', transforms=[seen])
    config.test_dataloader.dataset = with_end_pipeline(dataset, [load, merging])
    floor = DetectorConfig.score_thr
    config.model = dict(
        type='mmdistill.BoxDetector',
        module=lower_score_threshold(config.model, floor),
        scope=SCOPE,
        views=asdict(views),
        score_thr=floor,
    )
    guard = dict(type='mmdistill.DetectorGuardHook', classes=classes, role='tested')
    config.custom_hooks = [*(config.get('custom_hooks') or []), guard]
    return config


def teacher_source(recipe: Recipe) -> Config:
    """The config that has the teacher's model and its test pipeline.

    Args:
        recipe: A recipe of a detector, which has it where the teacher states none.

    Raises:
        ConfigError: If it is no config of a detector.
    """
    teacher = recipe.distill.teachers[0]
    if teacher.config is None:
        return checked_detector(str(recipe.config.filename), recipe.config)
    source = detector_config(DetectorConfig(config=teacher.config))
    if not is_detector(source):
        raise ConfigError(
            f'the student of {recipe.config.filename} is a detector, and the teacher '
            f'of {teacher.config} is a {source.model.get("type")}, which finds no '
            'boxes; name a config of MMDetection in distill.teacher.config'
        )
    return source


def check_detectors(recipe: Recipe) -> None:
    """Refuse a recipe of a detector that could not be run.

    Args:
        recipe: The recipe.

    Raises:
        ConfigError: If it states what is about keypoints, or its teacher is none.
    """
    check_box_settings(recipe)
    teacher_source(recipe)


def counted_boxes(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A labeled set of boxes as it is counted: without mixing, and without pipelines.

    Args:
        dataset: Config of the labeled set.

    Raises:
        ConfigError: If a wrapper shows samples in a way that is not counted, or a class
            is not registered.
    """
    return {**_uncut(dataset), '_scope_': SCOPE}


def _uncut(dataset: Mapping[str, Any]) -> dict[str, Any]:
    if is_type(dataset, MIXING_WRAPPER):
        return _uncut(dataset['dataset'])
    bare = copy.deepcopy(dict(dataset))
    inner = 'dataset' if 'dataset' in dataset else 'datasets'
    if inner not in dataset:
        _check_registered(dataset)
        return {**bare, 'pipeline': []}
    if not any(is_type(dataset, name) for name in COUNTED):
        raise ConfigError(
            f'boxes of a {dataset.get("type")} are not counted; the labeled set must '
            f'be one data set, or several in a {" or ".join(COUNTED)}'
        )
    if inner == 'dataset':
        bare['dataset'] = _uncut(dataset['dataset'])
    else:
        bare['datasets'] = [_uncut(each) for each in dataset['datasets']]
    return bare


def _check_registered(dataset: Mapping[str, Any]) -> None:
    kind = dataset.get('type')
    with DATASETS.switch_scope_and_registry(SCOPE) as registry:
        if isinstance(kind, str) and registry.get(kind) is None:
            raise ConfigError(
                f'no data set is registered as {kind!r}; import the module that has it '
                'in custom_imports, or name one of this version of MMDetection'
            )


def labeled_metainfo(recipe: Recipe) -> dict[str, Any]:
    """Metainfo of the labeled set, which that of the pseudo-labels must equal.

    Args:
        recipe: A recipe of a detector.

    Raises:
        ConfigError: If the labeled set names no classes.
    """
    return classed_metainfo(labeled_members(recipe)[0])


def classed_metainfo(labeled: Mapping[str, Any]) -> dict[str, Any]:
    """Metainfo of a labeled set of boxes, with its classes.

    Args:
        labeled: Config of the set; of several, that of the first counts.

    Raises:
        ConfigError: If it names no classes.
    """
    member = members_of(labeled)[0]
    metainfo = box_metainfo(member)
    if not metainfo.get('classes'):
        raise ConfigError(
            f'the labeled set {member.get("type")} names no classes: give it '
            "metainfo=dict(classes=('person',))"
        )
    if isinstance(metainfo['classes'], str):
        # MMEngine would read a file of that name.
        raise ConfigError(
            'metainfo.classes of the labeled set must be a list of names, got '
            f'{metainfo["classes"]!r}'
        )
    return metainfo
