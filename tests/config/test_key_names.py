"""Top-level keys that nothing reads, because their names are misspelled."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import mmpose
import pytest
from mmengine.config import Config

from mmdistill.cli.arguments import add_config_arguments, load_config
from mmdistill.config.key_names import KNOWN, check_key_names, misspelled_key
from mmdistill.config.recipe import Recipe
from mmdistill.errors import ConfigError

CONFIGS = (Path(mmpose.__file__).parent / '.mim' / 'configs', Path('configs'))
MISSPELLED = {
    'distil': 'distill',
    'distilll': 'distill',
    'train_dataloder': 'train_dataloader',
    'train_dataloaders': 'train_dataloader',
    'optim_wraper': 'optim_wrapper',
    'optim_wrappers': 'optim_wrapper',
    'val_evalutor': 'val_evaluator',
    'test_evalautor': 'test_evaluator',
    'param_schedular': 'param_scheduler',
    'custom_hook': 'custom_hooks',
    'default_hook': 'default_hooks',
    'load_form': 'load_from',
    'modle': 'model',
    'train_cgf': 'train_cfg',
    'workdir': 'work_dir',
}


def load(*arguments: str) -> Config:
    """Read a config as the tools do."""
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return load_config(parser.parse_args(arguments))


@pytest.mark.parametrize('name', MISSPELLED)
def test_a_misspelled_key_is_named_with_the_right_one(name):
    assert misspelled_key(name) == MISSPELLED[name]
    with pytest.raises(ConfigError, match=rf'{name} .*did you mean {MISSPELLED[name]}'):
        check_key_names(Config({name: 3}))


def test_every_key_is_recognized_with_a_letter_missing_or_twice():
    for key in KNOWN:
        for number in range(len(key)):
            shorter = key[:number] + key[number + 1 :]
            longer = key[: number + 1] + key[number:]
            for name in {shorter, longer} - {'mode', *KNOWN}:
                assert misspelled_key(name) in KNOWN, name


def test_no_variable_of_a_published_config_is_taken_for_a_misspelled_key():
    names = set()
    for path in (path for root in CONFIGS for path in root.rglob('*.py')):
        for statement in ast.parse(path.read_text()).body:
            stored = (
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            )
            names.update(stored)

    assert {'data_root', 'codec', 'train_pipeline', 'val_coco'} <= names
    assert {name: misspelled_key(name) for name in names if misspelled_key(name)} == {}


@pytest.mark.parametrize('name', ['mode', 'enc_cfg', 'train_dataset', '_model', 'a'])
def test_other_variables_are_allowed(name):
    check_key_names(Config({name: 3}))


def test_a_misspelled_key_of_the_command_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('own.py').write_text('data_root = 3\n')

    with pytest.raises(ConfigError, match=r'^nothing reads distil of .* distill\?'):
        load('own.py', '--cfg-options', 'distil.views=3')


def test_a_misspelled_section_is_named_rather_than_its_absence():
    with pytest.raises(ConfigError, match=r'^nothing reads distil of the config'):
        Recipe.of(Config({'distil': {}}))


def test_a_variable_of_the_command_line_is_said_to_change_nothing(
    tmp_path, monkeypatch, logged
):
    monkeypatch.chdir(tmp_path)
    Path('own.py').write_text('data_root = 3\n')

    load('own.py', '--cfg-options', 'data_root=4', 'work_dir=x', 'randomness.seed=1')

    (line,) = logged
    assert line.startswith('--cfg-options data_root changes nothing, since')
