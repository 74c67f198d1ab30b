"""A top-down teacher's labels train students of whole images, by the tool itself."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.config.recipe import Recipe
from mmdistill.stages.rounds import train_rounds
from mmdistill.store import LabelStore
from tests.helpers.image_students import published, shrink
from tests.helpers.recipes import RECIPES, STUDENT, TEACHER
from tests.helpers.rounds import RealTools
from tests.helpers.workshop import BOXES, DISTILL, QUICK, TEACHER_FILE

LABELS = 'work_dirs/toy/labels'
IDENTITY = dict(
    type='KeypointConverter', num_keypoints=17, mapping=[(i, i) for i in range(17)]
)


def labeled_set(published_set):
    """The toy data set's labeled images, in the form of a published config's set."""
    toy = dict(
        type='CocoDataset',
        data_root='data/toy/',
        data_mode='bottomup',
        ann_file='annotations/labeled.json',
        data_prefix=dict(img='images/labeled/'),
        pipeline=published_set.pipeline,
    )
    if published_set.type == 'CocoDataset':
        return toy
    members = [dict(toy, pipeline=[copy.deepcopy(IDENTITY)]) for _ in range(2)]
    combined = dict(published_set, datasets=members, sample_ratio_factor=[1, 0.5])
    combined['metainfo'] = dict(from_file='configs/_base_/datasets/coco.py')
    return combined


def write_recipe(name, **distill):
    """A small published student of the toy teacher, as a file."""
    config = shrink(published(name))
    dataset = config.train_dataloader.dataset
    config.train_dataloader = dict(
        batch_size=5,
        num_workers=0,
        persistent_workers=False,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=labeled_set(dataset),
    )
    config.train_cfg = dict(by_epoch=True, max_epochs=3)
    for hook in config.get('custom_hooks') or []:
        if 'num_last_epochs' in hook:
            hook.num_last_epochs = 1
            hook.pop('new_train_dataset', None)
        if 'epoch_attributes' in hook:
            hook.epoch_attributes = {1: hook.epoch_attributes[280]}
    config.default_hooks.checkpoint = dict(type='CheckpointHook', interval=3)
    config.default_hooks.logger.interval = 1
    section = Config.fromfile(STUDENT).distill.to_dict()
    section['teacher']['config'] = TEACHER
    section.update(schedule=None, mixing=dict(num_batches=1))
    section.update(distill)
    config.distill = section
    path = Path(f'{Path(name).name}.py')
    # As `Config.dump` does, which takes seconds to format it.
    lines = [f'{key} = {value!r}' for key, value in config.to_dict().items()]
    path.write_text('\n'.join(lines))
    return str(path)


def train(tool, recipe, *options):
    options = ['--no-validate', '--cfg-options', *DISTILL, *options]
    return tool('train', recipe, '--work-dir', 'student', *options)


@pytest.mark.parametrize('name', ['rtmo-t', 'yoloxpose-s', 'dekr', 'cid'])
def test_a_published_student_trains(workshop, tool, capfd, name):
    recipe = write_recipe(name)
    before = Path(LABELS, 'selection.json').read_bytes()

    assert train(tool, recipe) == 0

    said = capfd.readouterr().out
    # That of RTMO-t is made of two, so labels are selected anew.
    same = Path(LABELS, 'selection.json').read_bytes() == before
    assert same == (name != 'rtmo-t')
    assert '3 of 5 images in a batch are labeled' in said
    assert 'the student saw 9 labeled and 6 pseudo-labeled samples' in said
    assert 'logs no loss of' not in said
    weights = torch.load('student/epoch_3.pth', weights_only=False)['state_dict']
    assert all(value.isfinite().all() for value in weights.values())
    if name.startswith('rtmo'):
        assert 'head.proxy_target_cc is True from epoch 1 on' in said
    if name.startswith(('rtmo', 'yolox')):
        assert 'switch to those of the last epochs at epoch 1' in said
        assert 'those of BatchSyncRandomResize are not repeated' in said


def test_the_toy_recipe_trains_and_ignores_whom_it_is_unsure_of(workshop, tool, capfd):
    recipe = str(RECIPES.parent / 'toy_one_stage' / 'student.py')
    quick = [*QUICK, 'train_cfg.max_iters=2', 'distill.schedule=None']
    # The trained teacher of these tests, and boxes that are as they are.
    quick += [f'distill.teacher.config={TEACHER}', 'distill.labeling.refit_boxes=False']
    quick += ['distill.mixing.labeled_share=0.6']

    options = [*quick, 'distill.mixing.ignore_rejected=True']
    assert train(tool, recipe, *options) == 0

    assert 'the student saw 6 labeled and 4 pseudo-labeled' in capfd.readouterr().out
    trained = Config.fromfile('student/student.py').train_dataloader.dataset
    for source in trained.dataset.datasets:
        assert 'mmdistill.MaskIgnored' in [step.type for step in source.pipeline]


def test_a_student_is_taught_by_a_model_of_its_kind(workshop, tool, capfd):
    recipe = write_recipe(
        'yoloxpose-s',
        teacher=dict(checkpoint='own.pth'),
        views=dict(resolutions=(1.0, 4 / 3)),
        detector=None,
        store='own/labels',
        labeling=dict(chunk_size=2, num_workers=0, score_floor=0.1, nms_thr=0.5),
        selection=dict(keypoint_thr=-1),
        worth_images=None,
    )
    init_default_scope('mmpose')
    model = MODELS.build(Config.fromfile(recipe).model)
    # Otherwise the scores of untrained weights are all the same.
    torch.manual_seed(0)
    for weights in model.head.parameters():
        torch.nn.init.normal_(weights, std=0.1)
    torch.save(dict(state_dict=model.state_dict()), 'own.pth')

    options = ['--no-validate', '--work-dir', 'student']
    assert tool('train', recipe, *options) == 0

    assert 'the student saw 9 labeled and 6 pseudo-labeled' in capfd.readouterr().out
    provenance = LabelStore('own/labels').manifest['views']
    assert provenance['fusion'] == 'matched poses'
    assert len(provenance['views']) == 4


@pytest.mark.slow
def test_students_of_whole_images_teach_the_next_round(workshop, tool, logged):
    """The first teacher takes crops in given boxes, those of round 2 whole images."""
    init_default_scope('mmpose')
    recipe = write_recipe(
        'yoloxpose-s',
        detector=None,
        store='work_dirs/rounds/round_1/labels',
        views=dict(scales=(1.0,), flip=False),
        labeling=dict(chunk_size=2, num_workers=0, score_floor=-1, nms_thr=0.5),
        selection=dict(keypoint_thr=-1),
        worth_images=None,
        rounds=dict(
            number=2,
            students=2,
            settings=[dict(), dict(views=dict(resolutions=(1.0, 4 / 3)))],
        ),
    )
    config = Config.fromfile(recipe)
    config.distill.teacher.checkpoint = TEACHER_FILE
    config.distill.unlabeled.bbox_file = BOXES
    config.work_dir = 'work_dirs/rounds'
    config.train_cfg.max_epochs = config.default_hooks.checkpoint.interval = 1
    config.val_dataloader = config.val_evaluator = config.val_cfg = None
    config.dump('rounds.py')
    assert tool('plan', 'rounds.py') == 0
    tools = RealTools()

    train_rounds(Recipe.of(config), tools)

    assert len(tools.called) == 6
    first, second = (
        LabelStore(f'work_dirs/rounds/round_{number}/labels').manifest
        for number in (1, 2)
    )
    assert first['views']['fusion'] == 'mean'
    assert second['views']['fusion'] == 'matched poses'
    assert len(second['teacher']['ensemble']) == 1
    assert len(second['views']['views']) == 2
    assert Path('work_dirs/rounds/student.pth').is_file()
    assert any(line.startswith('round 2 of 2: threshold') for line in logged)


def test_a_plan_counts_images(workshop, tool, capfd):
    recipe = write_recipe('rtmo-s', mixing=dict())

    unchecked = ('val_dataloader=None', 'val_cfg=None', 'val_evaluator=None')
    assert tool('plan', recipe, '--cfg-options', *DISTILL, *unchecked) == 0

    said = capfd.readouterr().out
    assert '9 instances on 6 images' in said
    # 5 labeled images, and as many instances an image in the 7 unlabeled ones.
    assert '3 epochs, 9 iterations' in said


def test_a_resumed_student_is_in_the_mode_of_its_epoch(workshop, tool, capfd):
    recipe = write_recipe('rtmo-s')
    short = ['default_hooks.checkpoint.interval=1', 'train_cfg.max_epochs=2']
    assert train(tool, recipe, *short) == 0
    capfd.readouterr()

    options = ['--no-validate', '--resume', '--cfg-options', *DISTILL]
    assert tool('train', recipe, '--work-dir', 'student', *options) == 0

    said = capfd.readouterr().out
    assert 'resumed epoch: 2, iter: 2' in said
    assert 'head.use_aux_loss is True from epoch 2 on' in said
    assert 'head.proxy_target_cc is True from epoch 2 on' in said
    assert 'switch to those of the last epochs at epoch 2' in said
    assert Path('student/epoch_3.pth').is_file()


@pytest.mark.parametrize(
    ('name', 'options', 'sentence'),
    [
        (
            'body_2d_keypoint/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416',
            (),
            'transform PackPoseInputs of train_dataloader cannot be built',
        ),
        (
            'rtmo-s',
            ('distill.mixing.pseudo_weight=0.5',),
            'RTMOHead trains by',
        ),
        ('cid', ('distill.weights.floor=0.1',), 'distill.weights is for students of'),
        ('cid', ('model.head.type=AssociativeEmbeddingHead',), 'cannot be a student'),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_labeled(
    workshop, tool, capfd, name, options, sentence
):
    recipe = write_recipe(name)
    for path in sorted(Path(LABELS).rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    assert train(tool, recipe, *options) != 0

    assert sentence in capfd.readouterr().err
    assert not any(Path(LABELS).rglob('*.parquet'))
