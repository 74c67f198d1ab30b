"""What the config of a student's training gets, and what stays."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.datasets.seeded_dataset import with_last_step
from mmdistill.errors import UserError
from mmdistill.stages.train_config import log_initial_weights, resumable_config

MIXED = dict(type='mmdistill.MixedRatioBatchSampler')


def config(train_cfg=None, weight=1.0, head=None, **settings) -> Config:
    """A training config, as far as these functions look at it."""
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset', store='labels', pseudo_weight=weight
    )
    dataset = dict(type='ConcatDataset', datasets=[dict(type='CocoDataset'), pseudo])
    loss = dict(type='KeypointMSELoss', use_target_weight=True)
    base = dict(
        model=dict(
            backbone=dict(type='ResNet'), head=head or dict(type='Head', loss=loss)
        ),
        train_cfg=train_cfg or dict(by_epoch=True, max_epochs=3),
        train_dataloader=dict(batch_sampler=MIXED, dataset=dataset),
        distill=dict(
            teacher=dict(checkpoint='work/teacher.pth'), unlabeled={}, store='labels'
        ),
    )
    return Config({**base, **settings})


@pytest.mark.parametrize(
    ('given', 'loop'),
    [
        (dict(by_epoch=True, max_epochs=3), 'mmdistill.ResumableEpochLoop'),
        (dict(max_epochs=3), 'mmdistill.ResumableEpochLoop'),
        (dict(type='EpochBasedTrainLoop'), 'mmdistill.ResumableEpochLoop'),
        (dict(by_epoch=False, max_iters=3), 'mmdistill.ResumableIterLoop'),
        (dict(type='IterBasedTrainLoop'), 'mmdistill.ResumableIterLoop'),
        (dict(type='mine.Loop'), 'mine.Loop'),
    ],
)
def test_the_loop_is_the_one_that_can_be_resumed(given, loop):
    made = resumable_config(config(given)).train_cfg
    assert made.type == loop
    # MMEngine takes one of both.
    assert 'by_epoch' not in made
    assert {**given, **made, 'by_epoch': 0} == {**made, 'by_epoch': 0}


def test_the_data_set_is_wrapped_and_the_hook_added():
    given = config(custom_hooks=[dict(type='EMAHook')])
    made = resumable_config(given)
    assert made.train_dataloader.dataset.type == 'mmdistill.SeededDataset'
    assert made.train_dataloader.dataset.dataset == given.train_dataloader.dataset
    assert [hook.type for hook in made.custom_hooks] == [
        'EMAHook',
        'mmdistill.StudentLogHook',
    ]


def test_the_last_step_is_stated_for_mmpose_to_change():
    given = config()
    pipeline = [dict(type='LoadImage'), dict(type='PackPoseInputs', meta_keys=('id',))]
    for source in given.train_dataloader.dataset.datasets:
        source.pipeline = pipeline
    made = resumable_config(given).train_dataloader.dataset
    assert made.pipeline == [dict(type='PackPoseInputs')]
    assert with_last_step(made.dataset, made.pipeline) == made.dataset


def test_what_is_in_place_stays():
    once = resumable_config(
        config(custom_hooks=[dict(type='StudentLogHook', interval=7)])
    )
    assert resumable_config(once).pretty_text == once.pretty_text
    assert once.custom_hooks == [dict(type='StudentLogHook', interval=7)]


def test_the_config_given_is_not_changed():
    given = config()
    before = given.pretty_text
    resumable_config(given)
    assert given.pretty_text == before


@pytest.mark.parametrize(
    'loader', [None, dict(dataset=dict()), dict(batch_sampler=dict(type='Other'))]
)
def test_a_training_without_mixed_batches_is_left_alone(loader):
    given = config(train_dataloader=loader)
    assert resumable_config(given) is given


VISIBILITY = dict(type='VisPredictHead', pose_cfg=dict(type='HeatmapHead'))
UNWEIGHTED = dict(type='HeatmapHead', loss=dict(type='KeypointMSELoss'))


@pytest.mark.parametrize(
    ('head', 'sentence'),
    [
        (VISIBILITY, 'pseudo_weight must be 1, got 0.5'),
        (UNWEIGHTED, 'KeypointMSELoss needs use_target_weight=True'),
    ],
)
def test_a_model_that_cannot_weigh_is_refused(head, sentence):
    resumable_config(config(head=head))
    with pytest.raises(UserError, match=sentence):
        resumable_config(config(head=head, weight=0.5))


def test_a_weight_that_the_model_can_use_is_taken():
    made = resumable_config(config(weight=0.5)).train_dataloader.dataset.dataset
    assert made.datasets[1].pseudo_weight == 0.5


PRETRAINED = dict(type='Pretrained', checkpoint='torchvision://resnet50')


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(load_from='work/../work/teacher.pth'), 'starts from the teacher work/'),
        (dict(load_from='other.pth'), 'starts from other.pth'),
        (dict(load_from='http://host/teacher.pth'), 'starts from http://host/'),
        (dict(resume=True, load_from='work/teacher.pth'), 'continues where its own'),
        (dict(), 'from random weights'),
        (
            dict(model=dict(backbone=dict(init_cfg=PRETRAINED))),
            'from pretrained weights: torchvision://resnet50',
        ),
        (dict(model=dict(backbone=dict(pretrained='a.pth'))), 'weights: a.pth'),
    ],
)
def test_the_start_of_the_student_is_told(settings, sentence, logged):
    log_initial_weights(Recipe.of(config(**settings)))
    assert len(logged) == 1
    assert sentence in logged[0]
