"""Averaged weights: the closed form, and what the checkpoint and the tools get."""

from __future__ import annotations

import pytest
import torch

from mmdistill.config.finish_options import EmaConfig, FinishConfig
from mmdistill.engine.checkpoint import load_local
from mmdistill.stages.averaging import with_ema
from mmdistill.stages.finish import with_finish
from tests.helpers.rated_runs import noted, numbers_config

ITERATIONS = dict(by_epoch=False, max_iters=240)
EVERY = dict(type='CheckpointHook', by_epoch=False, interval=120)


def averaged(tmp_path, name='run', ema=None, finish=None, **settings):
    settings = dict(train_cfg=ITERATIONS, default_hooks=dict(checkpoint=EVERY)) | (
        settings
    )
    config = numbers_config(tmp_path / name, **settings)
    if finish is not None:
        config = with_finish(config, finish)
    return with_ema(config, ema or EmaConfig())


def slow_average(weights, momentum):
    """The average as a loop; the first step's weights are its start."""
    average = {key: value.clone() for key, value in weights[0].items()}
    for step in weights[1:]:
        for key, value in step.items():
            if value.is_floating_point():
                average[key] += momentum * (value - average[key])
    return average


def assert_same(found, expected):
    for key, value in expected.items():
        if value.is_floating_point():
            torch.testing.assert_close(found[key], value)


@pytest.mark.parametrize(('stated', 'momentum'), [(None, 20 / 240), (0.3, 0.3)])
def test_a_checkpoint_holds_the_average_of_all_steps(tmp_path, stated, momentum):
    notes, _ = noted(averaged(tmp_path, ema=EmaConfig(momentum=stated)))

    saved = load_local(str(tmp_path / 'run/iter_240.pth'), 'cpu')

    assert_same(saved['state_dict'], slow_average(notes.weights, momentum))
    raw = {k: saved['ema_state_dict'][f'module.{k}'] for k in notes.weights[-1]}
    assert_same(raw, notes.weights[-1])
    assert not torch.equal(
        saved['state_dict']['head.weight'], notes.weights[-1]['head.weight']
    )


def test_the_steps_themselves_are_as_without(tmp_path):
    settings = dict(train_cfg=ITERATIONS)
    without, _ = noted(numbers_config(tmp_path / 'without', **settings))
    notes, _ = noted(averaged(tmp_path))
    for step, expected in zip(notes.weights, without.weights, strict=True):
        assert all(torch.equal(step[key], expected[key]) for key in expected)


def test_epochs_and_a_finish_count_for_the_memory(tmp_path, logged):
    epochs = dict(by_epoch=True, max_epochs=100)
    config = averaged(
        tmp_path, finish=FinishConfig(length=0.2, noise=True), train_cfg=epochs
    )
    notes, _ = noted(config)
    assert len(notes.weights) == 120 * 3
    (line,) = (line for line in logged if line.startswith('weights are averaged'))
    assert line.endswith('momentum 0.0556, over the last 18 of 360 iterations')


def test_a_resumed_average_is_that_of_a_run_that_was_not_stopped(tmp_path):
    finish = FinishConfig(length=0.5, noise=True)
    noted(averaged(tmp_path, 'through', finish=finish))
    expected = load_local(f'{tmp_path}/through/iter_360.pth', 'cpu')
    for stop in (120, 240):
        path = str(tmp_path / f'through/iter_{stop}.pth')
        start = dict(resume=True, load_from=path)

        resumed, _ = noted(averaged(tmp_path, f'{stop}', finish=finish, **start))

        assert len(resumed.weights) == 360 - stop
        found = load_local(f'{tmp_path}/{stop}/iter_360.pth', 'cpu')
        for part in ('state_dict', 'ema_state_dict'):
            assert all(
                torch.equal(v, found[part][k]) for k, v in expected[part].items()
            )


@pytest.mark.parametrize(
    'hook',
    [
        dict(type='EMAHook', momentum=0.001),
        dict(type='mmengine.EMAHook'),
        dict(type='mmdistill.FittedEMAHook'),
    ],
)
def test_a_config_that_averages_itself_stays(tmp_path, logged, hook):
    config = numbers_config(tmp_path, custom_hooks=[hook])
    assert with_ema(config, EmaConfig(momentum=0.1)).custom_hooks == [hook]
    (line,) = logged
    assert f'averages weights itself, by {hook["type"]}: distill.ema does not' in line


def test_the_config_given_stays(tmp_path):
    config = numbers_config(tmp_path)
    assert with_ema(config, EmaConfig()).custom_hooks
    assert not config.get('custom_hooks')
