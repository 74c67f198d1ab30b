import pytest
import torch
from mmengine.config import Config
from torch import distributed

from mmdistill.engine.cpu_launch import prepare_cpu_launch


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
