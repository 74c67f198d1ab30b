import os
import socket
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from torch import distributed

from mmdistill.engine.runner import prepare_cpu_launch


@pytest.fixture
def joined(monkeypatch) -> list[str]:
    """Back ends by which the process group was joined; it is not really."""
    backends: list[str] = []
    monkeypatch.setattr(distributed, 'init_process_group', backends.append)
    return backends


@pytest.mark.parametrize('launcher', ['none', 'slurm'])
def test_other_launchers_are_left_to_mmengine(joined, launcher):
    config = Config(dict(launcher=launcher))

    prepare_cpu_launch(config)

    assert joined == []
    assert 'model_wrapper_cfg' not in config


def test_cuda_is_left_to_mmengine(joined, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)

    prepare_cpu_launch(Config(dict(launcher='pytorch')))

    assert joined == []


def test_without_cuda_processes_join_by_gloo(joined, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    config = Config(dict(launcher='pytorch'))

    prepare_cpu_launch(config)

    assert joined == ['gloo']
    assert config.model_wrapper_cfg.device_ids is None


def test_a_model_wrapper_of_the_config_stays(joined, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    config = Config(dict(launcher='pytorch', model_wrapper_cfg=dict(type='Mine')))

    prepare_cpu_launch(config)

    assert config.model_wrapper_cfg == dict(type='Mine')


def test_the_process_group_is_left_before_the_interpreter_ends():
    # Handlers run last in, first out: this one sees what ours has left.
    code = """
import atexit
import torch
from mmengine.config import Config
from torch import distributed
atexit.register(lambda: print('joined at the end:', distributed.is_initialized()))
from mmdistill.engine import runner as cpu_launch
torch.cuda.is_available = lambda: False
cpu_launch.prepare_cpu_launch(Config(dict(launcher='pytorch')))
cpu_launch.leave_process_group_at_exit()
cpu_launch.leave_process_group_at_exit()
print('joined:', distributed.is_initialized())
"""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    alone = dict(RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    said = subprocess.run(
        [sys.executable, '-c', code],
        check=True,
        capture_output=True,
        text=True,
        env=dict(os.environ, **alone),
    )

    assert said.stdout.splitlines() == ['joined: True', 'joined at the end: False']
