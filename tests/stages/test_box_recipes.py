"""Configs of the stages of a detector, and what a recipe of one cannot state."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill import stages
from mmdistill.config.detectors import is_detector
from mmdistill.config.recipe import Recipe
from mmdistill.engine.hooks.checkpoint_guard_hooks import (
    check_class_order,
    shared_classes,
)
from mmdistill.errors import UserError
from mmdistill.pipeline import Distillation
from mmdistill.pipeline.run import dry_run
from mmdistill.stages.box_students import ignore_regions
from mmdistill.stages.label_config import label_config, labeled_config
from mmdistill.stages.train_config import student_config
from tests.helpers.box_recipes import NAMES, box_recipe, write_teacher
from tests.helpers.recipes import STUDENT


@pytest.fixture(scope='module')
def recipes(tmp_path_factory) -> dict[str, Config]:
    """Recipes of two kinds, with their data."""
    return {
        kind: box_recipe(tmp_path_factory.mktemp(kind), kind, is_taught=False)
        for kind in ('faster_rcnn', 'yolox')
    }


@pytest.fixture
def config(recipes) -> Config:
    return copy.deepcopy(recipes['faster_rcnn'])


def student(config: Config) -> Config:
    return student_config(Recipe.of(config))


def test_a_detector_is_told_by_the_scope_of_its_model(config):
    pose = Config(dict(default_scope='mmpose', model=dict(type='TopdownPoseEstimator')))

    assert is_detector(config)
    assert not is_detector(pose)
    assert is_detector(Config(dict(model=dict(type='mmdet.RTMDet'))))
    assert not is_detector(
        Config(
            dict(default_scope='mmdet', model=dict(type='mmpose.TopdownPoseEstimator'))
        )
    )


def test_the_teacher_finds_boxes_into_the_store_of_the_labels(config):
    stage = label_config(Recipe.of(config))

    loop, model = stage.test_cfg, stage.model
    assert (loop.type, loop.boxes) == ('mmdistill.DetectLoop', config.distill.store)
    assert stage.load_from == config.distill.teacher.checkpoint
    assert (model.score_thr, model.nms_thr) == (0.0, 0.5)
    assert model.module.test_cfg.rcnn.score_thr == 0.0
    guard, matching = stage.custom_hooks
    assert guard.labeled_classes == list(NAMES)
    assert matching.labeled == labeled_config(Recipe.of(config))
    assert len(stage.test_dataloader.dataset.views) == 4


@pytest.mark.parametrize(
    ('labeling', 'thresholds'),
    [
        (dict(), (0.05, 0.5)),
        # What poses have without a setting counts where it is stated.
        (dict(score_floor=0.01, nms_thr=0.9), (0.01, 0.9)),
        (dict(nms_thr=0.6), (0.05, 0.6)),
    ],
)
def test_a_floor_counts_as_it_is_stated(config, labeling, thresholds):
    config.distill.labeling = labeling

    model = label_config(Recipe.of(config)).model

    assert (model.score_thr, model.nms_thr) == thresholds


def test_pseudo_labels_are_seen_as_labeled_images_are(config):
    made = student(copy.deepcopy(config))

    labeled, pseudo = made.train_dataloader.dataset.datasets
    assert pseudo.type == 'mmdistill.PseudoBoxDataset'
    assert pseudo.pipeline == labeled.pipeline
    assert tuple(pseudo.metainfo.classes) == NAMES
    assert (
        made.train_dataloader.batch_sampler.type == 'mmdistill.MixedRatioBatchSampler'
    )


def test_batches_of_one_aspect_ratio_make_way(config, logged):
    assert config.train_dataloader.batch_sampler.type == 'AspectRatioBatchSampler'

    student(config)

    assert any('AspectRatioBatchSampler makes way' in line for line in logged)


def test_what_is_mixed_of_images_wraps_each_source(recipes):
    made = student(copy.deepcopy(recipes['yolox']))

    labeled, pseudo = made.train_dataloader.dataset.datasets
    assert [labeled.type, pseudo.type] == ['MultiImageMixDataset'] * 2
    assert labeled.pipeline == pseudo.pipeline
    assert pseudo.dataset.type == 'mmdistill.PseudoBoxDataset'
    assert pseudo.dataset.pipeline == labeled.dataset.pipeline


def test_the_labeled_set_is_counted_without_what_mixes_it(recipes):
    counted = labeled_config(Recipe.of(copy.deepcopy(recipes['yolox'])))

    assert (counted['type'], counted['pipeline']) == ('CocoDataset', [])


def test_rejected_boxes_are_ignored_by_assigners_that_can(config, logged):
    config.distill.mixing = dict(ignore_rejected=True)

    made = student(config)

    pseudo = made.train_dataloader.dataset.datasets[1]
    stages_of = made.model.train_cfg
    assert pseudo.ignore_rejected is True
    assert stages_of.rpn.assigner.ignore_iof_thr == 0.5
    assert stages_of.rcnn.assigner.ignore_iof_thr == 0.5
    assert '2 assigners of the student ignore rejected boxes and crowds' in logged


def test_assigners_that_cannot_ignore_are_named(recipes, logged):
    ignore_regions(copy.deepcopy(recipes['yolox'].model))

    assert any(
        '0 assigners' in line and 'SimOTAAssigner cannot' in line for line in logged
    )


def test_without_it_nothing_is_ignored(config):
    made = student(config)

    assert made.model.train_cfg.rpn.assigner.ignore_iof_thr == -1
    assert 'ignore_rejected' not in made.train_dataloader.dataset.datasets[1]


@pytest.mark.parametrize(
    ('name', 'value', 'sentence'),
    [
        ('weights', dict(), 'distill.weights'),
        ('noise', dict(), 'distill.noise'),
        ('rounds', dict(number=2), 'distill.rounds'),
        ('views', dict(rotations=(30.0,)), 'distill.views.rotations'),
        ('unlabeled', dict(bbox_file='a.json'), 'distill.unlabeled.bbox_file'),
        ('selection', dict(keypoint_thr=0.3), 'distill.selection.keypoint_thr'),
        ('mixing', dict(keypoint_thr=0.3), 'distill.mixing.keypoint_thr'),
        ('labeling', dict(refit_boxes=True), 'distill.labeling.refit_boxes'),
    ],
)
def test_settings_about_keypoints_are_refused_by_name(config, name, value, sentence):
    config.merge_from_dict(dict(distill={name: value}))

    for run in (stages.train, stages.label):
        with pytest.raises(UserError, match=f'a detector, .* no use for {sentence}'):
            run(copy.deepcopy(config))


def test_boxes_have_no_weight_in_the_loss(config):
    config.distill.mixing = dict(pseudo_weight=0.5)

    with pytest.raises(UserError, match=r'pseudo_weight must be 1 .* got 0.5'):
        student(config)


def test_a_recipe_of_poses_has_nothing_of_boxes():
    config = Config.fromfile(STUDENT)
    config.distill.mixing = dict(ignore_rejected=True)
    with pytest.raises(UserError, match='ignore_rejected is for detectors'):
        student(config)
    config.distill.views.vote_thr = 0.5
    with pytest.raises(UserError, match=r'vote_thr is for detectors, .* got 0\.5'):
        label_config(Recipe.of(config), teacher_needed=False)


def test_several_teachers_are_refused(config):
    config.distill.teacher = ['a.pth', 'b.pth']

    with pytest.raises(UserError, match=r'one teacher.* names 2'):
        student(config)


def test_a_teacher_of_poses_is_refused(config, tmp_path):
    path = tmp_path / 'pose.py'
    path.write_text(
        "default_scope = 'mmpose'\nmodel = dict(type='TopdownPoseEstimator')\n"
        'test_dataloader = dict(dataset=dict(type="CocoDataset", pipeline=[]))\n'
    )
    config.distill.teacher.config = str(path)

    with pytest.raises(UserError, match='TopdownPoseEstimator, which finds no boxes'):
        student(config)


def test_a_teacher_without_the_labeled_classes_is_refused(config, tmp_path):
    path = tmp_path / 'other.pth'
    write_teacher(config, path, ('square', 'ring'))
    config.distill.teacher.checkpoint = str(path)
    config.distill.store = str(tmp_path / 'labels')

    with pytest.raises(UserError, match=r'has the classes square, ring, .* trains bar'):
        stages.label(config)


def test_a_labeled_set_without_a_box_is_refused(config, tmp_path):
    path = tmp_path / 'bare.json'
    dataset = config.train_dataloader.dataset
    content = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
    path.write_text(json.dumps(dict(content, annotations=[])))
    dataset.ann_file = str(path)

    with pytest.raises(UserError, match=r'no sample|no instance'):
        stages.label(config)


def test_classes_in_another_order_than_the_json_s_are_refused():
    listed = [dict(name='dog'), dict(name='square'), dict(name='bar')]

    check_class_order(('square', 'bar'), listed, Path('a.json'))
    with pytest.raises(UserError, match=r'same order.* bar, square, and there square'):
        check_class_order(('bar', 'square'), listed, Path('a.json'))


def test_a_teacher_of_one_class_names_it_as_it_likes():
    assert shared_classes(('person',), ('human',)) == ['person']
    assert shared_classes(('cat', 'dog', 'person'), ('dog', 'cat')) == ['dog', 'cat']


def test_a_wrapper_that_is_not_counted_is_refused(config):
    config.train_dataloader.dataset = dict(
        type='ClassBalancedDataset',
        oversample_thr=0.1,
        dataset=config.train_dataloader.dataset,
    )

    with pytest.raises(UserError, match='boxes of a ClassBalancedDataset are not'):
        labeled_config(Recipe.of(config))


def test_a_set_that_is_not_registered_is_refused(config):
    config.train_dataloader.dataset.type = 'NoDataset'

    with pytest.raises(UserError, match="no data set is registered as 'NoDataset'"):
        labeled_config(Recipe.of(config))


def test_all_steps_of_a_detector_are_planned(config, tmp_path):
    config.work_dir = str(tmp_path / 'work')
    config.val_dataloader = copy.deepcopy(config.test_dataloader)
    config.val_evaluator = dict(type='CocoMetric', ann_file='val.json')

    lines = dry_run(Distillation(Recipe.of(config), Path('recipe.py'))).splitlines()

    titles = [line.removeprefix('# ') for line in lines if line.startswith('# ')]
    assert titles == [
        *('label and select', 'audit the labels', 'train the student'),
        *('test the student', 'test the teacher', 'write the report'),
    ]
