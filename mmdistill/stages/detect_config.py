"""The config of the stage that finds boxes, made of the config that a user writes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import is_installed

from mmdistill.config.datasets import sources_of
from mmdistill.config.detector_options import DetectorConfig
from mmdistill.config.files import read_config
from mmdistill.config.recipe import Recipe, check_checkpoint
from mmdistill.config.schema import LabelingConfig, is_type
from mmdistill.config.text import TextConfig
from mmdistill.errors import ConfigError
from mmdistill.stages.box_views import view_pipelines
from mmdistill.stages.label_config import (
    images_config,
    labeled_members,
    runtime_settings,
)

FLIPPED = dict(
    type='TestTimeAug',
    transforms=[
        [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)],
        [
            dict(
                type='PackDetInputs',
                meta_keys=(
                    *('img_id', 'img_path', 'ori_shape', 'img_shape'),
                    *('scale_factor', 'flip', 'flip_direction'),
                ),
            )
        ],
    ],
)
"""MMDetection's default of test-time augmentation: each image and its mirror image."""
MERGED = dict(
    type='DetTTAModel',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100),
)
"""MMDetection's default of how views are merged."""
OF_BOXES = ('detections', 'bbox_file', 'category_ids', 'follow', 'max_boxes')
"""Arguments of `UnlabeledDataset` that are about boxes."""


def detect_config(recipe: Recipe) -> Config:
    """The config of the detecting stage: a plain test config, also for other tools.

    All unlabeled images are looked at, those too that the leak guard leaves out of
    the labels.

    Args:
        recipe: A recipe that has a `detector`.

    Raises:
        UserError: If it has none or names a missing file, or the detector's config is
            no test config of MMDetection.
    """
    config, detector = recipe.config, recipe.distill.detector
    if detector is None:
        raise ConfigError(
            f'{config.filename} has no distill.detector, which names the config and '
            'the checkpoint of a detector'
        )
    source = detector_config(detector)
    check_checkpoint('detector', detector)
    stage = detecting_stage(
        recipe,
        replace(detector, boxes=str(recipe.distill.boxes_folder)),
        source,
        # A name of its own: runs of the same second would share MMEngine's registries.
        'detect',
    )
    stage['custom_hooks'] = [_guard(recipe, source, detector)]
    return TextConfig(stage, filename=config.filename)


def detecting_stage(
    recipe: Recipe, detector: DetectorConfig, source: Config, name: str
) -> dict[str, Any]:
    """The settings of a stage that finds boxes, without its hooks.

    Args:
        recipe: The recipe.
        detector: The detector, with the folder of its store.
        source: The detector's own config.
        name: Name of the stage.
    """
    config = recipe.config
    running = _running(detector, recipe.distill.labeling)
    stage = runtime_settings(config)
    stage.update(
        _imports(config, source),
        experiment_name=name,
        work_dir=str(Path(config.work_dir, name)),
        load_from=detector.checkpoint,
        model=_model(source, detector),
        test_dataloader=dict(
            batch_size=running.batch_size,
            num_workers=running.num_workers,
            dataset=_images(recipe, source, detector),
        ),
        test_cfg=dict(
            type='mmdistill.DetectLoop',
            boxes=detector.boxes,
            chunk_size=running.chunk_size,
            max_failures=running.max_failures,
        ),
        test_evaluator=[],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=20)),
    )
    return stage


def _running(detector: DetectorConfig, labeling: LabelingConfig) -> LabelingConfig:
    """The detector's run: that of the labeling where it states none of its own."""
    names = ('batch_size', 'num_workers', 'chunk_size')
    own = {name: getattr(detector, name) for name in names}
    own = {name: value for name, value in own.items() if value is not None}
    return replace(labeling, **own)


def images_without_boxes(recipe: Recipe) -> dict[str, Any]:
    """Config of the unlabeled images alone, as before their boxes are detected.

    Args:
        recipe: The recipe.

    Raises:
        UserError: If the recipe has no labeled set, whose keypoints the images take.
    """
    images = images_config(recipe)
    return {key: value for key, value in images.items() if key not in OF_BOXES}


def detector_config(detector: DetectorConfig) -> Config:
    """The detector's own config.

    Args:
        detector: The section `distill.detector`; `config` is a file, or one of
            MMDetection's as ``mmdet::rtmdet/rtmdet_m_8xb32-300e_coco.py``.

    Raises:
        UserError: If there is no such config, or it has no model or test data set.
    """
    name = detector.config
    if not name:
        raise ConfigError(
            "distill.detector.config must name a detector's config, a file or one of "
            "MMDetection's as mmdet::FOLDER/FILE.py"
        )
    package = name.partition('::')[0] if '::' in name else ''
    # MMEngine would try to install it.
    if package and not is_installed(package):
        raise ConfigError(
            f'the detector config {name} is of the package {package}, which is not '
            'installed; install it, or name a file'
        )
    # It imports the runners, for which commands that only read would wait.
    from mmengine.hub import get_config

    if not package:
        return checked_detector(name, read_config(name, 'the detector config'))
    try:
        config = get_config(name)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(
            f'the detector config {name} cannot be read: {error}'
        ) from error
    return checked_detector(name, config)


def checked_detector(name: str, config: Config) -> Config:
    """A detector's config, which has what finding boxes needs.

    Args:
        name: Its name, for the error.
        config: The config.

    Raises:
        ConfigError: If it has no model or no test data set.
    """
    loader = config.get('test_dataloader') or {}
    if not config.get('model') or not loader.get('dataset'):
        raise ConfigError(
            f'the detector config {name} must have a model and a test_dataloader with '
            'a dataset, as those of MMDetection have'
        )
    return config


def lower_score_threshold(model: Mapping[str, Any], score_thr: float) -> Any:
    """A detector's config that gives out what scores above a floor.

    Its own threshold is taken down to the floor, so that count matching decides what
    is kept; one that is lower stays.

    Args:
        model: Config of the detector.
        score_thr: The floor.
    """
    model = copy.deepcopy(model)
    test_cfg = model.get('test_cfg') or {}
    for stage_cfg in (test_cfg, test_cfg.get('rcnn') or {}):
        if (stage_cfg.get('score_thr') or 0) > score_thr:
            stage_cfg['score_thr'] = score_thr
    return model


def _model(source: Config, detector: DetectorConfig) -> dict[str, Any]:
    augmented: dict[str, Any] = {}
    if detector.views is not None:
        augmented['views'] = asdict(detector.views)
    if detector.tta:
        augmented['tta_model'] = source.get('tta_model', MERGED)
    return dict(
        type='mmdistill.BoxDetector',
        module=lower_score_threshold(source.model, detector.score_thr),
        scope=_scope(source),
        **augmented,
        score_thr=detector.score_thr,
        nms_thr=detector.nms_thr,
    )


def _images(recipe: Recipe, source: Config, detector: DetectorConfig) -> dict[str, Any]:
    pipeline = _from_decoded(_pipeline(source, detector.tta))
    views = detector.views
    seen = {} if views is None else dict(views=view_pipelines(pipeline, views))
    return dict(
        type='mmdistill.DetectionDataset',
        images=images_without_boxes(recipe),
        pipeline=pipeline,
        scope=_scope(source),
        **seen,
    )


def _guard(recipe: Recipe, source: Config, detector: DetectorConfig) -> dict[str, Any]:
    return dict(
        type='mmdistill.DetectorGuardHook',
        classes=list(classes_of(source)),
        categories=detector.categories,
        labeled_file=labeled_files(recipe),
    )


def labeled_files(recipe: Recipe) -> str | list[str]:
    """The COCO json of the labeled set; several of a set made of several.

    Args:
        recipe: The recipe.
    """
    files = [
        str(Path(member.get('data_root') or '', member.get('ann_file') or ''))
        for member in labeled_members(recipe)
    ]
    return files[0] if len(files) == 1 else files


def _scope(source: Config) -> str:
    return source.get('default_scope') or 'mmdet'


def _imports(config: Config, source: Config) -> dict[str, Any]:
    """The imports of both configs, as one setting."""
    sections = [each.get('custom_imports') or {} for each in (config, source)]
    names = [name for each in sections for name in each.get('imports', ())]
    return dict(custom_imports=dict(imports=names)) if names else {}


def _test_set(source: Config) -> Mapping[str, Any]:
    return sources_of(source.test_dataloader.dataset)[0]


def classes_of(source: Config) -> Sequence[str]:
    """Names of a detector's classes by its config; a checkpoint may know better.

    Args:
        source: The detector's config.
    """
    stated = box_metainfo(_test_set(source)).get('classes')
    return [stated] if isinstance(stated, str) else stated or ()


def box_metainfo(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """Metainfo of a data set of MMDetection, with the classes of its boxes.

    Args:
        dataset: Its config; what it does not state is that of its class.
    """
    from mmdet.registry import DATASETS

    # A registered class need not be of the host's base, which has the attribute.
    own = getattr(DATASETS.get(dataset['type']), 'METAINFO', {})
    return {**copy.deepcopy(own), **(dataset.get('metainfo') or {})}


def _pipeline(source: Config, augmented: bool) -> list[Any]:
    pipeline = list(_test_set(source).get('pipeline') or ())
    if not augmented:
        return pipeline
    return list(source.get('tta_pipeline') or [*pipeline[:-1], FLIPPED])


def _from_decoded(pipeline: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The pipeline of a decoded image, as MMDetection's inference makes it.

    There are no annotations to load, so what loads them goes too.
    """
    steps = [dict(step) for step in copy.deepcopy(list(pipeline))]
    if not steps or not is_type(steps[0], 'LoadImageFromFile'):
        raise ConfigError(
            "the test pipeline of the detector's config must begin with "
            f'LoadImageFromFile, got {steps[0].get("type") if steps else "no step"}'
        )
    load, *others = steps
    load['type'] = 'mmdet.LoadImageFromNDArray'
    return [load, *(each for each in others if not _loads_annotations(each))]


def _loads_annotations(step: Mapping[str, Any]) -> bool:
    name = str(step.get('type')).rpartition('.')[2]
    return name.startswith('Load') and name.endswith('Annotations')
