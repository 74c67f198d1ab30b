"""A stage has MMEngine's runner and loads safely."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from mmdistill import stage_runner
from mmdistill.engine.checkpoint import load_local


def test_a_runner_of_the_config_is_built(monkeypatch):
    class Runner:
        @classmethod
        def from_cfg(cls, config):
            return config

    monkeypatch.setattr('mmengine.runner.Runner', Runner)
    config = Config(dict(launcher='none'))

    assert stage_runner.stage_runner(config) is config
    assert CheckpointLoader._schemes[''] is load_local
