"""The terminal of a run of MMEngine's runner."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner import Runner

from mmdistill.engine.quiet_runner import QuietRunner


class Plain(BaseModel):
    def forward(self, inputs=None, data_samples=None, mode='tensor'):
        return torch.zeros(1)


def started(kind, root, name):
    MODELS.register_module(name='Plain', module=Plain, force=True)
    config = Config(dict(model=dict(type='Plain'), work_dir=str(root / name)))
    config.experiment_name = name
    runner = kind.from_cfg(config)
    runner.logger.info('what happens')
    runner.logger.warning('what is odd')
    (file,) = (root / name).rglob('*.log')
    return file.read_text()


def test_settings_are_in_the_log_file_and_not_on_the_terminal(tmp_path, capfd):
    file = started(QuietRunner, tmp_path, 'quiet')
    shown = capfd.readouterr().out

    for text in ('System environment', 'Config:', 'Hooks will be executed'):
        assert text in file
        assert text not in shown
    for text in ('what happens', 'what is odd'):
        assert text in file
        assert text in shown


def test_parameters_of_the_optimizer_are_in_the_log_file_alone(tmp_path, capfd):
    model = Plain()
    model.frozen, model.free = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    model.frozen.requires_grad_(False)
    runner = QuietRunner(model, str(tmp_path), experiment_name='lines')
    settings = dict(custom_keys=dict(free=dict(lr_mult=0.5)))
    optimizer = dict(type='SGD', lr=1.0)
    runner.build_optim_wrapper(
        dict(optimizer=optimizer, paramwise_cfg=settings, type='OptimWrapper')
    )
    shown = capfd.readouterr().out
    (file,) = tmp_path.rglob('*.log')

    for text in ('frozen.weight is skipped', 'free.weight:lr=0.5'):
        assert text in file.read_text()
        assert text not in shown


def test_the_log_file_is_that_of_the_host(tmp_path):
    ours, theirs = (
        started(kind, tmp_path, name).count('\n')
        for kind, name in ((QuietRunner, 'ours'), (Runner, 'host'))
    )
    assert ours == theirs
