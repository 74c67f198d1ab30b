"""The advice of sentences about the command line: following it is accepted."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.cli import arguments as module
from mmdistill.cli.arguments import (
    LAUNCHERS,
    add_config_arguments,
    add_selection_arguments,
    add_training_arguments,
    changed_options,
    load_config,
    with_training_arguments,
)
from mmdistill.config.renamed import FLAGS
from mmdistill.errors import UserError

WRAPPER = "optim_wrapper = dict(type='OptimWrapper')\n"
STARTERS = {'torchrun': 'pytorch', 'srun': 'slurm', 'mpirun': 'mpi'}
"""Programs that start processes, with the launcher whose variables they set."""
VALUES = {
    '--over': 'annotated',
    '--per': 'source',
    '--by': 'agreement',
    '--floor': '0.25',
    '--cap': '0.75',
}
"""A value that a former flag took."""


@pytest.fixture
def read(tmp_path):
    """Read a config as `tools/train.py` does."""

    def read(text: str, *words: str) -> Config:
        path = Path(tmp_path, 'recipe.py')
        path.write_text(text)
        parser = argparse.ArgumentParser()
        add_config_arguments(parser)
        add_training_arguments(parser)
        arguments = parser.parse_args([str(path), *words])
        return with_training_arguments(load_config(arguments), arguments)

    return read


def refused(function, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.mark.parametrize('launcher', [name for name in LAUNCHERS if name != 'none'])
def test_processes_that_the_named_program_starts_are_taken(read, monkeypatch, launcher):
    for name in LAUNCHERS[launcher]:
        monkeypatch.delenv(name, raising=False)
    sentence = refused(read, WRAPPER, '--launcher', launcher)
    (program,) = re.findall(r'is for processes that (\w+) started', sentence)
    (names,) = re.findall(r'the environment has no ([\w, ]+)', sentence)

    assert STARTERS[program] == launcher
    with monkeypatch.context() as patch:
        for name in names.split(', '):
            patch.setenv(name, '1')
        assert read(WRAPPER, '--launcher', launcher).launcher == launcher
    # Or as a single process.
    way = re.findall(r'; start it by \w+, or leave out (--\w+)$', sentence)
    assert way == ['--launcher']
    assert read(WRAPPER).launcher == 'none'


@pytest.mark.parametrize('wrapper', ['', "optim_wrapper = dict(type='ApexX')\n"])
def test_mixed_precision_has_the_wrapper_that_is_named(read, monkeypatch, wrapper):
    monkeypatch.setattr(module, 'get_device', lambda: 'cuda')
    sentence = refused(read, wrapper, '--amp')
    (key, kind) = re.findall(r'needs (?:an|the) (\w+)(?: (\w+))?, ', sentence)[0]

    config = read(f'{key} = dict(type={kind or "OptimWrapper"!r})\n', '--amp')

    assert config.optim_wrapper.type == 'AmpOptimWrapper'


def test_without_mixed_precision_a_cpu_trains(read, monkeypatch):
    monkeypatch.setattr(module, 'get_device', lambda: 'cpu')
    sentence = refused(read, WRAPPER, '--amp')
    (flag,) = re.findall(r'leave out (--\w+)$', sentence)

    words = [word for word in ['--amp'] if word != flag]

    assert read(WRAPPER, *words).optim_wrapper.type == 'OptimWrapper'


@pytest.mark.parametrize('former', FLAGS)
def test_a_flag_has_the_name_that_is_given(former):
    parser = argparse.ArgumentParser()
    add_selection_arguments(parser)
    sentence = refused(parser.parse_args, [former, VALUES[former]])
    flag, value = re.findall(rf' is now (--[\w-]+), got {former} (\S+)$', sentence)[0]

    (option,) = changed_options(parser.parse_args([flag, value])).items()

    assert option[0] == flag[2:].replace('-', '_')
    assert str(option[1]) == VALUES[former]


def test_an_option_that_fits_the_config_is_taken(read):
    sentence = refused(read, WRAPPER, '--cfg-options', 'optim_wrapper.type.a=1')
    assert sentence.startswith('--cfg-options optim_wrapper.type.a=1 cannot be put')

    assert read(WRAPPER, '--cfg-options', 'optim_wrapper.a=1').optim_wrapper.a == 1
