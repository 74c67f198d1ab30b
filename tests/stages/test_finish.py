"""The config of a training with a finish, and what cannot have one."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdistill.config.finish_options import FinishConfig
from mmdistill.errors import UserError
from mmdistill.stages.finish import check_finish, with_finish

LABELED = dict(type='CocoDataset', ann_file='labeled.json')
PSEUDO = dict(type='mmdistill.PseudoLabelDataset', store='labels')
MIXED = dict(
    batch_size=5,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='mmdistill.MixedRatioBatchSampler', labeled_share=0.6),
    dataset=dict(type='ConcatDataset', datasets=[LABELED, PSEUDO]),
)
SUPERVISED = dict(
    batch_size=5, sampler=dict(type='InfiniteSampler'), drop_last=True, dataset=LABELED
)
STEPS = dict(type='MultiStepLR', milestones=[700], by_epoch=False)


def training(loader=MIXED, **settings):
    schedule = dict(by_epoch=False, max_iters=800, val_interval=100)
    base = dict(
        train_cfg=schedule,
        param_scheduler=[STEPS],
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
        train_dataloader=loader,
    )
    return Config({**base, **settings})


def test_iterations_are_added_and_batches_end_labeled():
    config = with_finish(training(), FinishConfig(length=0.25, lr=0.1))

    assert config.train_cfg == dict(by_epoch=False, max_iters=1000, val_interval=100)
    batches = config.train_dataloader.batch_sampler
    assert batches.labeled_share == 0.6
    assert (batches.finish_after, batches.finish_by_epoch) == (800, False)
    assert not batches.finish_noise
    steps, finish = config.param_scheduler
    assert steps == {**STEPS, 'end': 800}
    assert (finish.begin, finish.end, finish.factor) == (800, 1000, 0.1)
    assert config.train_dataloader.dataset == MIXED['dataset']


def test_epochs_are_added_whole():
    schedule = dict(by_epoch=True, max_epochs=11, val_interval=2)
    steps = dict(type='MultiStepLR', milestones=[7])
    config = with_finish(
        training(train_cfg=schedule, param_scheduler=steps), FinishConfig(length=0.2)
    )

    assert config.train_cfg == dict(by_epoch=True, max_epochs=14, val_interval=2)
    batches = config.train_dataloader.batch_sampler
    assert (batches.finish_after, batches.finish_by_epoch) == (11, True)
    assert config.param_scheduler[0].end == 11
    finish = config.param_scheduler[1]
    assert (finish.begin, finish.end, finish.convert_to_iter_based) == (11, 14, True)


def test_the_config_given_stays():
    config = training()
    before = config.pretty_text
    with_finish(config, FinishConfig())
    assert config.pretty_text == before


def test_hooks_keep_their_epochs():
    hooks = [
        dict(type='mmdet.PipelineSwitchHook', switch_epoch=8, switch_pipeline=[]),
        dict(type='EMAHook', begin_epoch=3),
        dict(type='YOLOXPoseModeSwitchHook', num_last_epochs=2),
    ]
    schedule = dict(by_epoch=True, max_epochs=10)
    config = with_finish(
        training(train_cfg=schedule, param_scheduler=None, custom_hooks=hooks),
        FinishConfig(length=0.3),
    )
    # Two epochs before the former end are five before the new one.
    assert config.custom_hooks[:3] == [*hooks[:2], {**hooks[2], 'num_last_epochs': 5}]
    assert config.custom_hooks[3].type == 'mmdistill.FinishHook'
    assert hooks[2]['num_last_epochs'] == 2


def test_a_supervised_training_gets_the_iterations_and_clean_draws():
    config = with_finish(training(SUPERVISED), FinishConfig(length=0.25))

    loader = config.train_dataloader
    assert config.train_cfg.max_iters == 1000
    assert loader.dataset == dict(type='mmdistill.SeededDataset', dataset=LABELED)
    assert loader.batch_sampler == dict(
        type='mmdistill.FinishBatchSampler',
        finish_after=800,
        finish_by_epoch=False,
        drop_last=True,
    )
    assert 'drop_last' not in loader


@pytest.mark.parametrize('noise', [False, True])
def test_a_pipeline_that_is_switched_is_switched_within(noise):
    """MMDetection's hook would set that of the wrapper, which nothing reads."""
    hooks = [dict(type='mmdet.PipelineSwitchHook', switch_epoch=8, switch_pipeline=[])]
    schedule = dict(by_epoch=True, max_epochs=10)
    loader = dict(SUPERVISED, num_workers=2, persistent_workers=True)
    config = with_finish(
        training(loader, train_cfg=schedule, param_scheduler=[], custom_hooks=hooks),
        FinishConfig(noise=noise),
    )
    kind, lives_on = ('mmdet.Pipeline', True)
    if not noise:
        kind, lives_on = ('mmdistill.SourcePipeline', False)
    assert config.custom_hooks[0] == {**hooks[0], 'type': f'{kind}SwitchHook'}
    assert config.train_dataloader.persistent_workers == lives_on


def test_with_noise_a_supervised_training_keeps_its_loader():
    config = with_finish(training(SUPERVISED), FinishConfig(noise=True))
    assert config.train_dataloader == SUPERVISED


@pytest.mark.parametrize(
    ('loader', 'words'),
    [
        (MIXED, 'the last 160 on labeled samples alone, with the learning rate from'),
        (SUPERVISED, 'the last 160 with the learning rate from 0.06 of its base to 0'),
    ],
)
def test_the_log_says_how_long_it_is(logged, loader, words):
    with_finish(training(loader), FinishConfig())
    (line,) = logged
    assert line.startswith('finish: 800 + 160 = 960 iterations, ')
    assert words in line
    assert line.endswith('to 0 and without noise')


OTHERS = dict(MIXED, batch_sampler=None, sampler=dict(type='MultiSourceSampler'))
OWN = dict(SUPERVISED, batch_sampler=dict(type='AspectRatioBatchSampler'))
EPOCHS = dict(by_epoch=True, max_epochs=10)
TWO = {name: dict(optimizer=dict(type='Adam')) for name in ('pose', 'critic')}


@pytest.mark.parametrize(
    ('config', 'sentence'),
    [
        (dict(loader=OTHERS), 'those of MultiSourceSampler; set .*MixedRatioBatchSamp'),
        (dict(loader=OWN), r'does not go with train_dataloader\.batch_sampler, got'),
        (
            dict(loader=dict(SUPERVISED, num_batch_per_epoch=3)),
            r'does not go with train_dataloader\.num_batch_per_epoch, got 3',
        ),
        (dict(optim_wrapper=TWO), 'one optimizer, the config has those of pose, crit'),
        (
            dict(param_scheduler=dict(pose=[STEPS], critic=[STEPS])),
            'one optimizer, the config has those of pose, critic',
        ),
        (dict(train_cfg=dict(by_epoch=False)), r'distill\.finish needs train_cfg\.max'),
        (dict(train_cfg=EPOCHS), 'MultiStepLR counts iterations .* state its end'),
    ],
)
def test_what_cannot_have_a_finish_is_refused(config, sentence):
    # Before anything is labeled, and then again.
    for refuses in (check_finish, with_finish):
        with pytest.raises(UserError, match=sentence):
            refuses(training(**config), FinishConfig())


@pytest.mark.parametrize(
    ('config', 'finish'),
    [
        (dict(loader=dict(OTHERS, batch_sampler=MIXED['batch_sampler'])), {}),
        (dict(loader=OWN), dict(noise=True)),
        (dict(loader=dict(SUPERVISED, batch_sampler=None)), {}),
        (
            dict(train_cfg=EPOCHS, param_scheduler=[dict(STEPS, end=900)]),
            {},
        ),
    ],
)
def test_what_a_refusal_advises_is_taken(config, finish):
    with_finish(training(**config), FinishConfig(**finish))
