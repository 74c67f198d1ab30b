"""From a config to the runner of each stage: the only module that knows both.

Stage 1 labels: one test run of the teacher over the unlabelled images. Stage 2
trains: the config as it stands. They meet in the label store.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

import mmdistill.engine  # noqa: F401  (registers the safe loaders)
from mmdistill.engine.cpu_launch import prepare_cpu_launch
from mmdistill.engine.labeled_counts import build_labeled, count_labeled
from mmdistill.engine.matching import described, select_by_count, select_by_score
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore, Selection, coco
from mmdistill.labels.selection import read_selection

RUNTIME = (
    *('default_scope', 'env_cfg', 'launcher', 'log_level', 'randomness'),
    *('custom_imports', 'vis_backends', 'visualizer'),
)
"""Settings of a config that are about the run and not about its stage."""


def label(config: Config) -> None:
    """Stage 1: label the unlabelled images, then match counts.

    A store that is complete is only compared with the config.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the section, the teacher or the images are not usable.
    """
    _runner(label_config(config)).test()
    barrier()


def train(config: Config) -> None:
    """Stage 2: train; a config with a `distill` section runs stage 1 first.

    Args:
        config: Any training config of MMPose or MMDetection.

    Raises:
        UserError: If there is nothing to learn from, or stage 1 does not run.
    """
    if 'distill' in config:
        label(config)
    _runner(config).train()


def test(config: Config) -> dict[str, float]:
    """Evaluate the checkpoint in `load_from` with the config's own metrics.

    Args:
        config: Any test config of MMPose or MMDetection.

    Returns:
        The metrics by name.
    """
    return _runner(config).test()


def select(
    config: Config,
    score_thr: float | None,
    over: str | None,
    keypoint_thr: float | None,
) -> Selection:
    """Choose pseudo-labels of a finished store anew.

    Args:
        config: A config with a `distill` section.
        score_thr: Instance score to keep candidates at; matched when None.
        over: Labelled images that count; the config's when None.
        keypoint_thr: Keypoint score above which a keypoint is visible; the
            config's when None.

    Raises:
        UserError: If the store is not complete or nothing would be kept.
    """
    section = _section(config)
    counting = section.get('counting', {})
    over = over or counting.get('over', 'all')
    if keypoint_thr is None:
        keypoint_thr = counting.get('keypoint_thr', 0.2)
    store = LabelStore(section['labels'])
    store.manifest  # noqa: B018  (a sentence when there is no store)
    labeled = count_labeled(build_labeled(_labeled(config)))
    if score_thr is None:
        selection = select_by_count(store, labeled, over, keypoint_thr)
    else:
        selection = select_by_score(store, labeled, over, keypoint_thr, score_thr)
    selection.write(store.root)
    print_log(described(selection), logger='current')
    return selection


def export_coco(config: Config, path: str) -> None:
    """Write the selected labels of a config's store as COCO json.

    Args:
        config: A config with a `distill` section.
        path: The json to write.

    Raises:
        UserError: If the store is not complete or has no selection.
    """
    store = LabelStore(_section(config)['labels'])
    parsed = parse_pose_metainfo(_metainfo(_labeled(config)))
    skeleton = [[a + 1, b + 1] for a, b in parsed['skeleton_links']]
    selection = read_selection(store.root)
    coco.export_coco(store, selection, Path(path), parsed['dataset_name'], skeleton)


def label_config(config: Config) -> Config:
    """The config of stage 1: a plain test config, also for MMPose's own tools.

    Args:
        config: A config with a `distill` section.

    Raises:
        UserError: If the section lacks something or names a missing file.
    """
    section = _section(config)
    teacher = _teacher_config(config, section['teacher'])
    labeled = _labeled(config)
    metainfo = _metainfo(labeled)
    parsed = parse_pose_metainfo(copy.deepcopy(metainfo))
    names = [parsed['keypoint_id2name'][i] for i in range(parsed['num_keypoints'])]
    labeling = dict(section.get('labeling', {}))
    loader = {
        key: labeling.pop(key)
        for key in ('batch_size', 'num_workers')
        if key in labeling
    }
    stage = {key: copy.deepcopy(config[key]) for key in RUNTIME if key in config}
    stage.update(
        work_dir=str(Path(config.work_dir, 'label')),
        load_from=section['teacher']['checkpoint'],
        model=_fused(teacher, section.get('views', {}), parsed['sigmas'].tolist()),
        test_dataloader=dict(
            dict(batch_size=16, num_workers=2),
            **loader,
            dataset=dict(
                type='mmdistill.UnlabeledDataset',
                metainfo=metainfo,
                **section['unlabeled'],
            ),
        ),
        test_cfg=dict(type='mmdistill.LabelLoop', labels=section['labels'], **labeling),
        test_evaluator=[],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=20)),
        custom_hooks=[
            dict(type='mmdistill.TeacherGuardHook', keypoint_names=names),
            dict(
                type='mmdistill.CountMatchingHook',
                labeled=labeled,
                **section.get('counting', {}),
            ),
        ],
    )
    return Config(stage, filename=config.filename)


def tta_config(config: Config) -> Config:
    """The config with its model wrapped, to evaluate it with fused views.

    The data set and the metric stay; the pipeline gives whole images with boxes.

    Args:
        config: A top-down test config of MMPose, with or without `distill`.
    """
    config = copy.deepcopy(config)
    dataset = config.test_dataloader.dataset
    parsed = parse_pose_metainfo(copy.deepcopy(_metainfo(dataset)))
    views = config.get('distill', {}).get('views', {})
    model = _fused(config, views, parsed['sigmas'].tolist())
    config.model = model
    dataset.pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=model['padding']),
        dict(type='PackPoseInputs'),
    ]
    return config


def _runner(config: Config) -> Runner:
    prepare_cpu_launch(config)
    return Runner.from_cfg(config)


def _section(config: Config) -> Any:
    if 'distill' not in config:
        raise UserError(
            f'{config.filename} has no distill section, which names the teacher, the '
            'unlabelled images and the label store'
        )
    for key in ('teacher', 'unlabeled', 'labels'):
        if config.distill.get(key) is None:
            raise UserError(f'the distill section of {config.filename} has no {key}')
    return config.distill


def _teacher_config(config: Config, teacher: Mapping[str, Any]) -> Config:
    """The config that has the teacher's model and its test pipeline."""
    checkpoint = teacher.get('checkpoint')
    if not checkpoint:
        raise UserError('distill.teacher.checkpoint must name a checkpoint, got none')
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise UserError(
            f'the teacher checkpoint {checkpoint} does not exist; train the teacher '
            'first, or set distill.teacher.checkpoint'
        )
    if teacher.get('config') is None:
        return config
    if not Path(teacher['config']).is_file():
        raise UserError(f'the teacher config {teacher["config"]} does not exist')
    return Config.fromfile(teacher['config'])


def _labeled(config: Config) -> dict[str, Any]:
    """Config of the labelled data set, without its pipeline."""
    dataset = config.distill.get('labeled', config.train_dataloader.dataset)
    for source in dataset.get('datasets', [dataset]):
        if not str(source['type']).endswith('PseudoLabelDataset'):
            return dict(copy.deepcopy(dict(source)), pipeline=[])
    raise UserError(f'{config.filename} trains on no labelled data set')


def _metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Keypoints of a data set in MMPose's unparsed form."""
    given = dataset.get('metainfo')
    return copy.deepcopy(dict(given or DATASETS.get(dataset['type']).METAINFO))


def _fused(
    config: Config, views: Mapping[str, Any], sigmas: list[float]
) -> dict[str, Any]:
    """A model's config wrapped for fusion, with crops cut as its pipeline cuts them."""
    transforms = {
        str(step['type']).rpartition('.')[2]: step
        for step in config.test_dataloader.dataset.pipeline
    }
    affine = transforms.get('TopdownAffine', {})
    return dict(
        type='mmdistill.HeatmapFusionTTA',
        module=copy.deepcopy(config.model),
        padding=transforms.get('GetBBoxCenterScale', {}).get('padding', 1.25),
        use_udp=affine.get('use_udp', False) if affine else None,
        sigmas=sigmas,
        **views,
    )
