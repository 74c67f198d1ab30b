"""The advice of sentences about worker processes: following it reads the images."""

from __future__ import annotations

import argparse
import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mmdistill.cli import main as entry
from mmdistill.cli.arguments import (
    add_config_arguments,
    add_training_arguments,
    load_config,
    with_training_arguments,
)
from mmdistill.cli.main import WORKER_ADVICE, run
from mmdistill.config.loops import LOADERS, check_loaders

TOOLS = Path(__file__).parents[2] / 'tools'
WORKERS = dict(num_workers=1, persistent_workers=True, prefetch_factor=2)
BATCH = 4


class Crowded(Dataset):
    """Images that a worker process cannot read, nor anybody in large batches."""

    def __init__(self, full: str) -> None:
        self.full = full

    def __len__(self) -> int:
        return BATCH

    def __getitem__(self, number: int) -> int:
        if self.full == 'workers' and get_worker_info() is not None:
            os._exit(3)
        return number


def reading(config: Config, name: str, full: str) -> None:
    """Read all images of one of the loaders of a config."""
    check_loaders(config)
    loader = config[name]
    if full == 'batches' and loader.batch_size == BATCH:
        raise MemoryError
    settings = {key: value for key, value in loader.items() if key != 'dataset'}
    for _ in DataLoader(Crowded(full), **settings):
        pass


@pytest.fixture
def tool(tmp_path):
    """A tool that reads the images of one loader; returns its exit code."""

    def call(name: str, full: str, others: str, *words: str) -> int:
        loader = dict(batch_size=BATCH, dataset=dict(type='CocoDataset'), **WORKERS)
        loaders = {key: loader for key in LOADERS if key == name or others == 'all'}
        if others == 'None':
            loaders = {**dict.fromkeys(LOADERS), **loaders}
        path = Path(tmp_path, 'recipe.py')
        Config(loaders).dump(path)
        parser = argparse.ArgumentParser()
        add_config_arguments(parser)
        add_training_arguments(parser)

        def main(argv):
            arguments = parser.parse_args(argv)
            config = with_training_arguments(load_config(arguments), arguments)
            reading(config, name, full)

        return run(main, [str(path), *words], WORKER_ADVICE)

    return call


@pytest.mark.parametrize('name', LOADERS)
@pytest.mark.parametrize('others', ['all', 'None', 'none'])
def test_without_workers_images_are_read(tool, capsys, name, others):
    assert tool(name, 'workers', others) == 2
    sentence = capsys.readouterr().err
    (words,) = re.findall(r'Run it again with (--cfg-options [^,]+),', sentence)

    assert tool(name, 'workers', others, *shlex.split(words)) == 0


def test_in_smaller_batches_they_are_read(tool, capsys):
    assert tool('train_dataloader', 'batches', 'all') == 2
    (key,) = re.findall(r'a smaller (\S+\.batch_size)', capsys.readouterr().err)

    options = ('--cfg-options', f'{key}={BATCH // 2}', f'{key[:-10]}num_workers=0')
    assert tool('train_dataloader', 'batches', 'all', *options) == 0


def test_the_flag_that_goes_on_is_one_of_trainings(capsys):
    parser = argparse.ArgumentParser()
    add_training_arguments(parser)
    (flag,) = re.findall(r'last checkpoint with (--\S+)', WORKER_ADVICE)
    config = with_training_arguments(Config(), parser.parse_args([flag]))
    assert config.resume
    assert config.load_from is None


@pytest.fixture
def failing(monkeypatch, capsys):
    """Run a tool that runs out of memory; returns its sentence and its flags."""

    def call(path: Path) -> tuple[str, set[str]]:
        mains = []

        def no_memory(argv):
            raise MemoryError

        def fail(main, argv=None, *advice, **more):
            mains.append(main)
            return run(no_memory, argv, *advice, **more)

        with monkeypatch.context() as patch:
            patch.setattr(entry, 'run', fail)
            patch.setattr(sys, 'argv', [str(path)])
            with pytest.raises(SystemExit) as failed:
                runpy.run_path(str(path), run_name='__main__')
        assert failed.value.code == 2
        sentence = capsys.readouterr().err
        with pytest.raises(SystemExit):
            mains[0](['--help'])
        return sentence, set(re.findall(r'--[a-z]+[a-z-]*', capsys.readouterr().out))

    return call


NAMES = [path.stem for path in TOOLS.glob('*.py') if '(run(main' in path.read_text()]


@pytest.mark.parametrize('name', sorted(NAMES))
def test_a_tool_names_no_flag_that_it_does_not_take(failing, name):
    sentence, flags = failing(TOOLS / f'{name}.py')

    assert sentence.startswith('error: the memory of this machine is full')
    assert set(re.findall(r'--[a-z]+[a-z-]*', sentence)) <= flags


def test_tools_whose_loaders_are_of_a_config_say_how_to_set_them(failing):
    keys = {}
    for name in ('train', 'test', 'audit_labels'):
        sentence, _ = failing(TOOLS / f'{name}.py')
        keys[name] = re.findall(r'(\w+)_dataloader\.num_workers=0', sentence)
    assert keys == dict(
        train=['train', 'val', 'test'], test=['test'], audit_labels=['train']
    )
