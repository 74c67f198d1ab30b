"""Values of any kind in MMPose's own keys: used, or refused by name in one sentence."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config

from mmdistill.config.host_kinds import DATASET_KINDS, KINDS, check_host_keys
from mmdistill.errors import ConfigError
from tests.helpers.recipes import RECIPES

STUDENT = RECIPES / 'student.py'
ODD = (5, 'x', [5], {'a': None}, 1.5, True)


@pytest.fixture(scope='module')
def recipe() -> Config:
    """The toy student's config."""
    return Config.fromfile(STUDENT)


@pytest.mark.parametrize('name', KINDS)
@pytest.mark.parametrize('value', ODD, ids=repr)
def test_a_value_of_another_kind_is_refused_by_its_name(recipe, name, value):
    config = copy.deepcopy(recipe)
    config.merge_from_dict({name: None})
    section, _, key = name.rpartition('.')
    (config[section] if section else config)[key] = value

    if value in KINDS[name] and not (isinstance(value, list) and 5 in value):
        check_host_keys(config)
    else:
        with pytest.raises(ConfigError, match=rf'^{name}(\.0)? must be '):
            check_host_keys(config)


@pytest.mark.parametrize('key', DATASET_KINDS)
@pytest.mark.parametrize('wrapped', [False, True])
def test_a_value_within_a_data_set_is_refused_by_its_name(recipe, key, wrapped):
    config = copy.deepcopy(recipe)
    dataset = {**config.train_dataloader.dataset, key: 5}
    if wrapped:
        dataset = dict(type='ConcatDataset', datasets=[dataset])
    config.train_dataloader.dataset = dataset

    name = f'train_dataloader.dataset.{"datasets.0." if wrapped else ""}{key}'
    with pytest.raises(ConfigError, match=f'^{name} must be '):
        check_host_keys(config)


def test_objects_of_a_config_in_python_stay(recipe):
    config = copy.deepcopy(recipe)
    config.train_dataloader.collate_fn = len
    config.custom_hooks = [object()]

    check_host_keys(config)


def test_every_kind_takes_none(recipe):
    config = copy.deepcopy(recipe)
    for name in KINDS:
        if '.' not in name:
            config[name] = None

    check_host_keys(config)
