"""The rate of a finish, among the schedulers of the host and of its configs."""

from __future__ import annotations

import math

import pytest
from mmengine.config import Config

from mmdistill.config.finish_options import FinishConfig
from mmdistill.stages.finish import with_finish
from tests.helpers.rated_runs import noted, numbers_config

RULE = FinishConfig(length=0.3, lr=0.5, noise=True)
EPOCH = 3
ITERATIONS = dict(by_epoch=False, max_iters=30)
EPOCHS = dict(by_epoch=True, max_epochs=10)
HOST = {
    'none': [],
    'warm-up and steps': [
        dict(type='LinearLR', begin=0, end=8, start_factor=0.01, by_epoch=False),
        dict(type='MultiStepLR', milestones=[5, 8], gamma=0.1),
    ],
    'steps without end': [dict(type='StepLR', step_size=2, gamma=0.5)],
    'steps that never end': [dict(type='StepLR', step_size=2, end=10**9)],
    'exponential': [dict(type='ExponentialLR', gamma=0.9, end=10**9)],
    'cosine': [dict(type='CosineAnnealingLR', T_max=10)],
    'cosine to its end': [dict(type='CosineAnnealingLR', eta_min=1e-3)],
    'cosine by iterations': [
        dict(type='LinearLR', begin=0, end=4, start_factor=0.1, by_epoch=False),
        dict(
            type='CosineAnnealingLR',
            begin=5,
            end=10,
            T_max=5,
            eta_min=1e-4,
            convert_to_iter_based=True,
        ),
    ],
    'restarts': [
        dict(
            type='CosineRestartLR',
            periods=[4, 4],
            restart_weights=[1, 0.5],
            eta_min=0.0,
        )
    ],
    'polynomial': [dict(type='PolyLR', power=2, eta_min=1e-4)],
    'constant': [dict(type='ConstantLR', factor=0.5)],
    'polynomial beyond its end': [dict(type='PolyLR', power=2, end=40)],
    'linear by epochs beyond': [dict(type='LinearLR', start_factor=0.1, end=40)],
    'momentum': [
        dict(type='CosineAnnealingLR'),
        dict(type='CosineAnnealingMomentum', eta_min=0.5),
    ],
}


def expected(base, length, steps):
    """The closed form of the rate in the finish."""
    return [
        base * RULE.lr * (1 + math.cos(math.pi * t / length)) / 2 for t in range(steps)
    ]


def both(tmp_path, **settings):
    """Notes of a training without and with a finish."""
    without = numbers_config(tmp_path / 'without', **settings)
    added = with_finish(numbers_config(tmp_path / 'with', **settings), RULE)
    return noted(without)[0], noted(added)[0]


@pytest.mark.parametrize('schedulers', HOST.values(), ids=HOST)
def test_epochs_stay_and_then_comes_the_finish(tmp_path, schedulers):
    without, added = both(tmp_path, train_cfg=EPOCHS, param_scheduler=schedulers)
    first = len(without.rates)
    assert added.rates[:first] == without.rates
    assert added.momenta[:first] == without.momenta
    rates = [rate for (rate,) in added.rates[first:]]
    assert rates == pytest.approx(expected(0.01, 3 * EPOCH, 3 * EPOCH))


BY_ITERATIONS = {
    name: [{**each, 'by_epoch': False} for each in schedulers]
    for name, schedulers in HOST.items()
    if not any('convert_to_iter_based' in each for each in schedulers)
}
ONE_CYCLE = [
    dict(type='OneCycleLR', eta_max=0.1, by_epoch=False),
    dict(type='OneCycleLR', eta_max=0.1, total_steps=30, end=10**9, by_epoch=False),
]


@pytest.mark.parametrize('schedulers', BY_ITERATIONS.values(), ids=BY_ITERATIONS)
def test_iterations_stay_and_then_comes_the_finish(tmp_path, schedulers):
    without, added = both(tmp_path, train_cfg=ITERATIONS, param_scheduler=schedulers)
    assert added.rates[:30] == without.rates
    assert added.momenta[:30] == without.momenta
    rates = [rate for (rate,) in added.rates[30:]]
    assert rates == pytest.approx(expected(0.01, 9, 9))


@pytest.mark.parametrize('cycle', ONE_CYCLE)
def test_the_base_of_a_cycle_is_its_highest_rate(tmp_path, cycle):
    without, added = both(tmp_path, train_cfg=ITERATIONS, param_scheduler=cycle)
    assert added.rates[:30] == without.rates
    rates = [rate for (rate,) in added.rates[30:]]
    assert rates == pytest.approx(expected(0.1, 9, 9))


def test_each_group_falls_from_its_own_base(tmp_path):
    wrapper = dict(
        optimizer=dict(type='SGD', lr=0.01),
        paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.6))),
    )
    steps = [dict(type='MultiStepLR', milestones=[20], by_epoch=False)]
    _, added = both(
        tmp_path, train_cfg=ITERATIONS, param_scheduler=steps, optim_wrapper=wrapper
    )
    assert set(added.rates[0]) == {0.01, 0.006}
    for number, base in enumerate(added.rates[0]):
        rates = [rates[number] for rates in added.rates[30:]]
        assert rates == pytest.approx(expected(base, 9, 9))


@pytest.mark.parametrize(
    'name',
    [
        'topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py',
        'rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192.py',
    ],
)
def test_schedules_of_published_configs(tmp_path, name):
    path, _ = Config._get_cfg_path(f'mmpose::body_2d_keypoint/{name}', '')
    host = Config.fromfile(path)
    settings = dict(
        train_cfg=dict(by_epoch=True, max_epochs=host.train_cfg.max_epochs),
        param_scheduler=host.param_scheduler,
        optim_wrapper=host.optim_wrapper,
    )

    without, added = both(tmp_path, **settings)

    first, finish = len(without.rates), round(0.3 * host.train_cfg.max_epochs) * EPOCH
    assert added.rates[:first] == without.rates
    assert len(added.rates) == first + finish
    base = host.optim_wrapper.optimizer.lr
    rates = [rates[0] for rates in added.rates[first:]]
    assert rates == pytest.approx(expected(base, finish, finish))


@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('stop', [12, 30, 33])
def test_a_resumed_training_goes_on_with_the_rates_it_would_have(
    tmp_path, by_epoch, stop
):
    def config(name, **settings):
        checkpoint = dict(type='CheckpointHook', by_epoch=by_epoch, interval=1)
        return with_finish(
            numbers_config(
                tmp_path / name,
                train_cfg=EPOCHS if by_epoch else ITERATIONS,
                param_scheduler=[
                    dict(type='MultiStepLR', milestones=[5, 8], by_epoch=by_epoch)
                ],
                default_hooks=dict(checkpoint=checkpoint),
                **settings,
            ),
            RULE,
        )

    through, _ = noted(config('through'))
    name = f'epoch_{stop // EPOCH}' if by_epoch else f'iter_{stop}'
    path = str(tmp_path / f'through/{name}.pth')
    resumed, _ = noted(config('resumed', resume=True, load_from=path))
    assert resumed.rates == through.rates[stop:]


@pytest.mark.parametrize('by_epoch', [False, True])
def test_a_finish_may_be_added_to_a_training_that_has_ended(tmp_path, by_epoch):
    settings = dict(
        train_cfg=EPOCHS if by_epoch else ITERATIONS,
        param_scheduler=[
            dict(type='MultiStepLR', milestones=[5, 8], by_epoch=by_epoch)
        ],
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=1000)
        ),
    )
    noted(numbers_config(tmp_path / 'ended', **settings))
    through, _ = noted(with_finish(numbers_config(tmp_path / 'all', **settings), RULE))
    name = 'epoch_10' if by_epoch else 'iter_30'
    start = dict(resume=True, load_from=str(tmp_path / f'ended/{name}.pth'))
    later = numbers_config(tmp_path / 'later', **settings, **start)

    resumed, _ = noted(with_finish(later, RULE))

    assert resumed.rates == through.rates[30:]


def test_a_training_that_is_resumed_with_a_longer_finish_follows_that(tmp_path):
    checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=1)
    settings = dict(train_cfg=ITERATIONS, default_hooks=dict(checkpoint=checkpoint))
    noted(with_finish(numbers_config(tmp_path / 'short', **settings), RULE))
    start = dict(resume=True, load_from=str(tmp_path / 'short/iter_33.pth'))
    config = numbers_config(tmp_path / 'long', **settings, **start)

    resumed, _ = noted(
        with_finish(config, FinishConfig(length=0.6, lr=0.5, noise=True))
    )

    rates = [rate for (rate,) in resumed.rates]
    assert rates == pytest.approx(expected(0.01, 18, 18)[3:])
