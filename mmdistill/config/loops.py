"""Loops and loaders of a run: what MMEngine or torch would refuse is refused first."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.kinds import AT_LEAST_ONE, COUNT, SWITCH, Fields, Kind
from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError

LOOPS = {
    'training': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'validation': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}
"""Settings that MMEngine builds each loop of; the data come first."""
HOST_LOOPS = ('EpochBasedTrainLoop', 'IterBasedTrainLoop')


def check_training(config: Config) -> None:
    """Make sure that a config can train, before its labels are made.

    Args:
        config: A training config.

    Raises:
        UserError: If it lacks a part of the training or states no length, or if its
            validation set cannot be evaluated.
    """
    if not config.get('model'):
        raise ConfigError(f'{config.filename} cannot train: it has no model')
    _check_whole(config, 'training')
    schedule = config.train_cfg
    known = 'type' not in schedule or any(is_type(schedule, k) for k in HOST_LOOPS)
    if known and not (schedule.get('max_iters') or schedule.get('max_epochs')):
        raise ConfigError(
            f'{config.filename} does not say how long it trains: train_cfg needs '
            f'max_iters or max_epochs, got {dict(schedule)}'
        )
    if config.get('val_dataloader') is not None:
        _check_whole(config, 'validation')


def check_test(config: Config) -> None:
    """Make sure that a config has what is tested, and by what.

    Args:
        config: A test config.

    Raises:
        UserError: If it lacks a part of the test, or a model.
    """
    _check_whole(config, 'test')
    if not config.get('model'):
        raise ConfigError(f'{config.filename} cannot be tested: it has no model')


def training_loops(config: Config) -> Config:
    """A training config without what its missing data sets leave over.

    A config that takes its validation set out of what it is based on, by
    ``val_dataloader=None``, trains without validation.

    Args:
        config: A training config.
    """
    return _without(config, [name for name in LOOPS if name != 'training'])


def test_loops(config: Config) -> Config:
    """A config for a test run, without what is left over of other loops.

    Args:
        config: A test config.
    """
    return _without(config, [name for name in LOOPS if name != 'test'])


def _check_whole(config: Config, name: str) -> None:
    lacking = [key for key in LOOPS[name] if config.get(key) is None]
    if lacking:
        data, *others = LOOPS[name]
        raise ConfigError(
            f'{config.filename} has no {" and no ".join(lacking)}; its {name} needs '
            f'{data}, {" and ".join(others)}'
        )
    loader = config[LOOPS[name][0]]
    if loader and not loader.get('dataset'):
        raise ConfigError(
            f'{LOOPS[name][0]} of {config.filename} has no dataset, so there is '
            f'nothing for its {name}; name one in {LOOPS[name][0]}.dataset, or set '
            f'{LOOPS[name][0]}=None'
        )


def _without(config: Config, names: Sequence[str]) -> Config:
    """A config without the loops of these names that are not whole."""
    partial = {
        name: [key for key in LOOPS[name] if config.get(key) is not None]
        for name in names
    }
    config = copy.deepcopy(config)
    for name, stated in partial.items():
        keys = LOOPS[name]
        if not 0 < len(stated) < len(keys):
            continue
        lacking = next(key for key in keys if key not in stated)
        print_log(
            f'there is no {name}: the config has no {lacking}, so '
            f'{" and ".join(stated)} of it do not count',
            logger='current',
        )
        for key in keys:
            config[key] = None
    return config


def evaluators_of(evaluators: Any) -> Iterator[Any]:
    """Iterate over the configs of evaluators and of the metrics within them.

    Args:
        evaluators: One, several, or none; a `MultiDatasetEvaluator` has one for each
            of its data sets.
    """
    for evaluator in evaluators if isinstance(evaluators, Sequence) else [evaluators]:
        if evaluator:
            yield evaluator
            yield from evaluators_of(evaluator.get('metrics'))


LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
KINDS: dict[str, Kind] = {
    'batch_size': AT_LEAST_ONE,
    'num_workers': COUNT,
    'persistent_workers': SWITCH,
    'prefetch_factor': AT_LEAST_ONE,
    'dataset': Fields(),
}
OF_WORKERS = ('persistent_workers', 'prefetch_factor')
"""Settings that torch refuses where a loader has no worker processes."""


def check_loaders(config: Config) -> None:
    """Refuse loaders that torch would refuse, and make those without workers usable.

    Settings of worker processes are dropped where `num_workers` is 0, so that setting
    it is enough.

    Args:
        config: Any config; it is changed.

    Raises:
        UserError: If a number of a loader is none, or out of its range.
    """
    for name in LOADERS:
        loaders = config.get(name)
        for loader in loaders if isinstance(loaders, list) else [loaders]:
            if loader is not None:
                _check_loader(name, loader)


def _check_loader(name: str, loader: Any) -> None:
    if not isinstance(loader, dict):
        raise ConfigError(f'{name} must be a dict, got {loader!r}')
    for key, kind in KINDS.items():
        value = loader.get(key)
        if value is not None and value not in kind:
            raise ConfigError(f'{name}.{key} must be {kind}, got {value!r}')
    if not loader.get('num_workers'):
        for key in OF_WORKERS:
            loader.pop(key, None)
