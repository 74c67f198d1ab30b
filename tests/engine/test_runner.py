"""A stage has MMEngine's runner and loads safely."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmdistill.engine import runner
from mmdistill.engine.checkpoint import load_local


def test_a_runner_of_the_config_is_built(monkeypatch):
    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return config

    monkeypatch.setattr('mmdistill.engine.quiet_runner.QuietRunner', Runner)
    config = Config(dict(launcher='none'))

    assert runner.stage_runner(config) is config
    assert CheckpointLoader._schemes[''] is load_local


def test_mixed_precision_without_an_accelerator_is_said_once_the_log_is_there(
    monkeypatch, logged
):
    class Runner:
        @classmethod
        def from_cfg(cls, config):
            logged.append(config.optim_wrapper.type)
            return cls()

    monkeypatch.setattr('mmdistill.engine.quiet_runner.QuietRunner', Runner)
    monkeypatch.setattr(runner, 'get_device', lambda: 'cpu')

    runner.stage_runner(Config(dict(optim_wrapper=dict(type='AmpOptimWrapper'))))

    assert logged[0] == 'OptimWrapper'
    assert 'runs in single precision' in logged[1]
