"""The config of the stage that finds boxes."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.detect_config import detect_config, lower_score_threshold

STUDENT = Path(__file__).parents[2] / 'configs/distill/toy/student.py'


@pytest.fixture
def config(tmp_path) -> Config:
    """The toy recipe, its detector trained."""
    config = Config.fromfile(STUDENT)
    config.launcher = 'none'
    checkpoint = tmp_path / 'detector.pth'
    checkpoint.write_bytes(b'')
    config.distill.detector.checkpoint = str(checkpoint)
    return config


def test_the_detector_sees_what_its_own_test_set_shows(config):
    stage = detect_config(Recipe.of(config))
    own = Config.fromfile(config.distill.detector.config)

    load, *others = stage.test_dataloader.dataset.pipeline
    assert load.type == 'mmdet.LoadImageFromNDArray'
    assert others == own.test_dataloader.dataset.pipeline[1:]
    assert stage.model.module == own.model


def test_the_images_are_those_of_the_labels_without_boxes_and_guard(config):
    images = detect_config(Recipe.of(config)).test_dataloader.dataset.images

    expected = dict(config.distill.unlabeled)
    assert {key: images[key] for key in expected} == expected
    assert set(images) - set(expected) == {'labeled', 'metainfo', 'type'}


def test_it_runs_as_the_labeling_does_where_it_does_not_say_how(config):
    config.distill.labeling = dict(
        batch_size=3, num_workers=0, chunk_size=7, max_failures=0.5, nms_thr=0.9
    )
    config.distill.detector.batch_size = 2

    stage = detect_config(Recipe.of(config))

    loader = stage.test_dataloader
    assert (loader.batch_size, loader.num_workers) == (2, 0)
    assert stage.test_cfg == dict(
        type='mmdistill.DetectLoop',
        boxes='work_dirs/toy/labels_boxes',
        chunk_size=7,
        max_failures=0.5,
    )
    assert stage.model.nms_thr == 0.5


def test_the_guard_knows_names_and_the_labeled_set(config):
    (guard,) = detect_config(Recipe.of(config)).custom_hooks

    assert guard == dict(
        type='mmdistill.DetectorGuardHook',
        classes=['person'],
        categories=('person',),
        labeled_file='data/toy/annotations/labeled.json',
    )


def test_a_config_of_mmdetection_is_found_by_its_name(config):
    config.distill.detector.config = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

    stage = detect_config(Recipe.of(config))

    assert stage.model.module.type == 'FasterRCNN'
    assert len(stage.custom_hooks[0].classes) == 80
    types = [step.type for step in stage.test_dataloader.dataset.pipeline]
    assert types == ['mmdet.LoadImageFromNDArray', 'Resize', 'PackDetInputs']


def test_augmentation_is_the_config_s_own(config):
    config.distill.detector.tta = True
    own = Config.fromfile(config.distill.detector.config)

    stage = detect_config(Recipe.of(config))

    assert stage.model.tta_model == own.tta_model
    assert stage.test_dataloader.dataset.pipeline[1:] == own.tta_pipeline[1:]


def test_a_config_without_augmentation_is_mirrored(config):
    config.distill.detector.config = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
    config.distill.detector.tta = True

    stage = detect_config(Recipe.of(config))

    assert stage.model.tta_model.type == 'DetTTAModel'
    views = stage.test_dataloader.dataset.pipeline[-1].transforms[0]
    assert [view.prob for view in views] == [1.0, 0.0]


def test_views_of_its_own_are_a_pipeline_each(config):
    config.distill.detector.views = dict(scales=(1.0, 1.5), flip=True)

    stage = detect_config(Recipe.of(config))

    views = stage.test_dataloader.dataset.views
    sizes = [next(s for s in view if s.type == 'Resize').scale for view in views]
    assert sizes == [(128, 96), (128, 96), (192, 144), (192, 144)]
    assert stage.model.views == dict(scales=(1.0, 1.5), flip=True, vote_thr=0.9)
    assert 'tta_model' not in stage.model


def test_views_and_augmentation_at_once_are_refused(config):
    config.distill.detector.update(tta=True, views=dict(flip=False))

    with pytest.raises(UserError, match=r'distill\.detector has views or tta=True'):
        Recipe.of(config)


def test_the_config_can_be_written_and_read(config, tmp_path):
    stage = detect_config(Recipe.of(config))
    stage.dump(tmp_path / 'stage.py')

    read = Config.fromfile(tmp_path / 'stage.py')

    assert read.model == stage.model
    assert read.test_dataloader == stage.test_dataloader


def test_what_both_configs_import_is_imported(config, tmp_path):
    path = tmp_path / 'detector.py'
    path.write_text(
        f"_base_ = '{config.distill.detector.config}'\n"
        "custom_imports = dict(imports=['json'])\n"
    )
    config.custom_imports = dict(imports=['csv'])
    config.distill.detector.config = str(path)

    assert detect_config(Recipe.of(config)).custom_imports.imports == ['csv', 'json']


@pytest.mark.parametrize(
    'test_cfg', [dict(score_thr=0.3), dict(rpn=dict(), rcnn=dict(score_thr=0.3))]
)
def test_a_detector_s_own_threshold_is_taken_down_to_the_floor(test_cfg):
    model = ConfigDict(test_cfg=test_cfg)

    lowered = lower_score_threshold(model, 0.05).test_cfg
    assert lowered.get('rcnn', lowered).score_thr == 0.05
    kept = lower_score_threshold(model, 0.4).test_cfg
    assert kept.get('rcnn', kept).score_thr == 0.3
    assert model == dict(test_cfg=test_cfg)


WRONG = {
    'no detector': (lambda part: part.clear(), 'has no distill.detector'),
    'no config': (lambda part: part.pop('config'), 'config must name a detector'),
    'a config that is gone': (
        lambda part: part.update(config='gone.py'),
        r'the detector config gone\.py does not exist',
    ),
    'a config that MMDetection has not': (
        lambda part: part.update(config='mmdet::rtmdet/gone.py'),
        r'the detector config mmdet::rtmdet/gone\.py cannot be read',
    ),
    'a config of a package that is not there': (
        lambda part: part.update(config='nowhere::a.py'),
        'of the package nowhere, which is not installed',
    ),
    'a config of no model': (
        lambda part: part.update(config='mmdet::_base_/default_runtime.py'),
        'must have a model and a test_dataloader',
    ),
    'no checkpoint': (
        lambda part: part.pop('checkpoint'),
        r'distill\.detector\.checkpoint must name a checkpoint, got none',
    ),
    'a checkpoint that is gone': (
        lambda part: part.update(checkpoint='gone.pth'),
        r'the detector checkpoint gone\.pth does not exist; train the detector first',
    ),
    'an unknown setting': (
        lambda part: part.update(nms=0.5),
        r'distill\.detector has no nms; did you mean nms_thr',
    ),
}


@pytest.mark.parametrize(('change', 'sentence'), WRONG.values(), ids=WRONG)
def test_a_wrong_section_is_a_sentence(config, change, sentence):
    change(config.distill.detector)

    with pytest.raises(UserError, match=sentence):
        detect_config(Recipe.of(config))


def test_a_pipeline_that_reads_no_image_is_refused(config, tmp_path):
    path = tmp_path / 'detector.py'
    path.write_text(
        f"_base_ = '{config.distill.detector.config}'\n"
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize')]))\n"
    )
    config.distill.detector.config = str(path)

    with pytest.raises(UserError, match='begin with LoadImageFromFile, got Resize'):
        detect_config(Recipe.of(config))
