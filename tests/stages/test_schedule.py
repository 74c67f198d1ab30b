"""Tests of the config of a student whose schedule grows with its data."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import PARAM_SCHEDULERS

from mmdistill.config.schema import ScheduleConfig
from mmdistill.errors import UserError
from mmdistill.stages.schedule import grown_schedule

WARM_UP = dict(type='LinearLR', begin=0, end=500, by_epoch=False)


def iterations(*schedulers):
    return Config(
        dict(
            train_cfg=dict(by_epoch=False, max_iters=1000, val_interval=100),
            param_scheduler=list(schedulers),
        )
    )


@pytest.fixture
def by_epoch():
    name = 'td-hm_res50_8xb64-210e_coco-256x192.py'
    folder = 'body_2d_keypoint/topdown_heatmap/coco'
    return Config.fromfile(_published(f'{folder}/{name}'))


@pytest.fixture
def rtmpose():
    name = 'rtmpose-s_8xb256-420e_coco-256x192.py'
    return Config.fromfile(_published(f'body_2d_keypoint/rtmpose/coco/{name}'))


def _published(name):
    return Config._get_cfg_path(f'mmpose::{name}', '')[0]


def test_iterations_grow_with_the_samples():
    config = grown_schedule(iterations(WARM_UP), 100, 150, ScheduleConfig(max_factor=4))
    assert config.train_cfg.max_iters == 2500
    assert config.train_cfg.val_interval == 100


def test_the_config_given_stays():
    config = iterations(WARM_UP)
    before = config.pretty_text
    grown_schedule(config, 100, 150, ScheduleConfig(max_factor=4))
    assert config.pretty_text == before


def test_a_warm_up_stays_and_steps_stand_at_their_shares():
    steps = dict(type='MultiStepLR', milestones=[600, 950], by_epoch=False)
    config = grown_schedule(
        iterations(WARM_UP, steps), 100, 100, ScheduleConfig(max_factor=4)
    )
    warm_up, multi_step = config.param_scheduler
    assert warm_up == WARM_UP
    assert multi_step['milestones'] == [1400, 1800]


def test_a_schedule_that_begins_after_the_warm_up_still_does():
    whole = dict(begin=500, end=1000, T_max=500, by_epoch=False)
    cosine = dict(type='CosineAnnealingLR', **whole)
    config = grown_schedule(
        iterations(WARM_UP, cosine), 100, 100, ScheduleConfig(max_factor=4)
    )
    grown = config.param_scheduler[1]
    assert (grown['begin'], grown['end'], grown['T_max']) == (500, 2000, 1500)


def test_epochs_of_the_model_zoo_stay_without_a_cap(by_epoch):
    config = grown_schedule(by_epoch, 1000, 3000, ScheduleConfig(max_factor=10))
    assert config.train_cfg.max_epochs == 210
    assert config.param_scheduler[1]['milestones'] == [147, 189]
    assert config.param_scheduler[0].end == 500


def test_epochs_of_the_model_zoo_shrink_under_a_cap(by_epoch):
    config = grown_schedule(by_epoch, 1000, 3000, ScheduleConfig(max_factor=2))
    assert config.train_cfg.max_epochs == 105
    assert config.param_scheduler[1]['milestones'] == [74, 94]
    assert config.param_scheduler[1]['end'] == 105


def test_the_second_half_of_a_cosine_stays_the_second_half(rtmpose):
    config = grown_schedule(rtmpose, 1000, 3000, ScheduleConfig(max_factor=2))
    cosine = config.param_scheduler[1]
    assert config.train_cfg.max_epochs == 210
    assert (cosine['begin'], cosine['end'], cosine['T_max']) == (105, 210, 105)


def test_a_single_scheduler_may_stand_without_a_list():
    config = iterations()
    config.param_scheduler = dict(type='MultiStepLR', milestones=[500], by_epoch=False)
    grown = grown_schedule(config, 100, 100, ScheduleConfig(max_factor=4))
    assert grown.param_scheduler[0]['milestones'] == [1400, 1800]


def test_what_was_chosen_is_told(capsys):
    from mmengine.logging import MMLogger

    MMLogger.get_instance('schedule')
    grown_schedule(iterations(WARM_UP), 600, 4400, ScheduleConfig(max_factor=2))
    said = capsys.readouterr().out
    assert '2000 iterations instead of 1000' in said
    assert '4400 pseudo-labels beside 600 labeled samples' in said


@pytest.mark.parametrize(
    ('rule', 'message'),
    [
        (dict(max_factor=0.5), r'distill\.schedule: max_factor must be at least 1'),
        (dict(max_factor=2, milestones=(2,)), r'distill\.schedule: milestones must'),
    ],
)
def test_an_unusable_rule_is_refused(rule, message):
    with pytest.raises(UserError, match=message):
        grown_schedule(iterations(WARM_UP), 100, 100, ScheduleConfig(**rule))


@pytest.mark.parametrize('by_epoch', [dict(by_epoch=True), dict()])
def test_a_scheduler_of_epochs_in_a_training_of_iterations_is_refused(by_epoch):
    steps = dict(type='MultiStepLR', milestones=[5], **by_epoch)
    with pytest.raises(UserError, match='MultiStepLR has by_epoch=True'):
        grown_schedule(
            iterations(WARM_UP, steps), 100, 100, ScheduleConfig(max_factor=2)
        )


def test_steps_in_iterations_of_a_training_of_epochs_are_refused(by_epoch):
    by_epoch.param_scheduler[1].by_epoch = False
    with pytest.raises(UserError, match='MultiStepLR has by_epoch=False'):
        grown_schedule(by_epoch, 1000, 3000, ScheduleConfig(max_factor=2))


def test_steps_that_end_early_stay(by_epoch):
    by_epoch.param_scheduler[1].end = 100
    config = grown_schedule(by_epoch, 1000, 3000, ScheduleConfig(max_factor=2))
    assert config.param_scheduler[1].milestones == [170, 200]


def test_a_config_without_a_length_is_refused():
    config = Config(dict(train_cfg=dict(by_epoch=False)))
    with pytest.raises(UserError, match=r'needs train_cfg\.max_iters or'):
        grown_schedule(config, 100, 100, ScheduleConfig(max_factor=2))


def test_a_pipeline_switches_at_the_same_share(rtmpose):
    before = rtmpose.custom_hooks[1]['switch_epoch'] / rtmpose.train_cfg.max_epochs
    config = grown_schedule(rtmpose, 100, 300, ScheduleConfig(max_factor=2))
    after = config.custom_hooks[1]['switch_epoch'] / config.train_cfg.max_epochs
    assert config.train_cfg.max_epochs == 210
    assert after == pytest.approx(before, abs=1 / 210)


@pytest.fixture
def rtmo():
    name = 'rtmo-s_8xb32-600e_coco-640x640.py'
    return Config.fromfile(_published(f'body_2d_keypoint/rtmo/coco/{name}'))


def spans(config):
    return [(each['begin'], each['end']) for each in config.param_scheduler]


def test_all_parts_of_a_schedule_are_stretched(rtmo):
    config = grown_schedule(rtmo, 100, 900, ScheduleConfig(max_factor=3))
    assert config.train_cfg.max_epochs == 180
    parts = [(0, 5), (5, 79), (79, 80), (80, 160), (160, 180)]
    assert spans(config) == parts
    assert config.train_cfg.dynamic_intervals == [(160, 1)]
    switch, modes = config.custom_hooks[:2]
    assert switch['num_last_epochs'] == 20
    assert [*modes['epoch_attributes']] == [79]


def rates(config, epochs):
    """Learning rates of MMEngine's own schedulers, after each number of epochs."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.004)
    schedulers = []
    for scheduler in config.param_scheduler:
        settings = {k: v for k, v in scheduler.items() if k != 'convert_to_iter_based'}
        schedulers.append(
            PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=optimizer))
        )
    seen = []
    for _ in range(epochs):
        seen.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return seen


def test_a_rate_that_rises_again_does_so_in_a_shorter_training(rtmo):
    init_default_scope('mmpose')
    config = grown_schedule(rtmo, 100, 900, ScheduleConfig(max_factor=3))
    before, after = rates(rtmo, 600), rates(config, 180)

    pairs = [(4, 4), (5, 5), (142, 42), (280, 79), (281, 80), (430, 120), (599, 179)]
    for old, new in pairs:
        assert after[new] == pytest.approx(before[old], rel=0.05)
    assert after[80] > 2 * after[78]


def test_a_training_too_short_for_its_parts_is_refused(rtmo):
    with pytest.raises(
        UserError, match=r'cannot be made one of 12 instead of 600: its'
    ):
        grown_schedule(rtmo, 100, 4900, ScheduleConfig(max_factor=1))


def test_the_first_of_two_parts_is_no_warm_up():
    parts = [
        dict(type='CosineAnnealingLR', begin=0, end=800, T_max=800, by_epoch=False),
        dict(type='ConstantLR', factor=1, begin=800, end=1000, by_epoch=False),
    ]
    config = grown_schedule(iterations(*parts), 100, 100, ScheduleConfig(max_factor=4))
    assert spans(config) == [(0, 1600), (1600, 2000)]
    assert config.param_scheduler[0]['T_max'] == 1600
