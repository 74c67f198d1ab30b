"""Kinds of the values that MMPose's own keys may have, as far as they are read here.

MMEngine refuses a value of another kind when it builds the part, which is after
labeling, and with a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from mmdistill.config.kinds import (
    AT_LEAST_ONE,
    COUNT,
    FOLDER,
    PATH,
    SWITCH,
    Choice,
    Either,
    Fields,
    Kind,
    ListOf,
    Range,
    Text,
)
from mmdistill.errors import ConfigError, shortened

SECTION = Fields()
SECTIONS = ListOf(SECTION)
LEVEL_NAMES = (
    *('CRITICAL', 'FATAL', 'ERROR', 'WARN', 'WARNING'),
    *('INFO', 'DEBUG', 'NOTSET'),
)
"""Names of the levels of `logging`, which older versions of Python do not list."""
LEVELS = Either((Choice(LEVEL_NAMES), Range(whole=True)))
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
LOOPS = ('train_cfg', 'val_cfg', 'test_cfg')

KINDS: dict[str, Kind] = {
    'work_dir': FOLDER,
    'load_from': PATH,
    'resume': SWITCH,
    'default_scope': Text(),
    'log_level': LEVELS,
    'model': SECTION,
    'optim_wrapper': SECTION,
    'optim_wrapper.optimizer': SECTION,
    'param_scheduler': Either((SECTION, SECTIONS)),
    'default_hooks': SECTION,
    'custom_hooks': SECTIONS,
    'val_evaluator': Either((SECTION, SECTIONS)),
    'test_evaluator': Either((SECTION, SECTIONS)),
    'visualizer': SECTION,
    'env_cfg': SECTION,
    'log_processor': SECTION,
    'randomness': SECTION,
    'randomness.seed': COUNT,
    'auto_scale_lr': SECTION,
    **dict.fromkeys(LOADERS, SECTION),
    **{f'{name}.dataset': SECTION for name in LOADERS},
    **{f'{name}.sampler': SECTION for name in LOADERS},
    **{f'{name}.batch_sampler': SECTION for name in LOADERS},
    **{f'{name}.collate_fn': SECTION for name in LOADERS},
    **dict.fromkeys(LOOPS, SECTION),
    **{
        f'train_cfg.{name}': AT_LEAST_ONE
        for name in ('max_iters', 'max_epochs', 'val_interval')
    },
}
"""What a value must be that is not None; lists are searched for other elements, too."""
DATASET_KINDS: dict[str, Kind] = {
    'ann_file': FOLDER,
    'data_root': FOLDER,
    'data_prefix': SECTION,
    'metainfo': SECTION,
    'pipeline': ListOf(SECTION),
}
"""The same within data sets, of any depth."""
INNER = ('dataset', 'datasets')
LISTED = ('param_scheduler', 'custom_hooks', 'val_evaluator', 'test_evaluator')
BUILT_BY_CONFIG = ('custom_hooks', 'collate_fn', 'param_scheduler')
"""Keys whose parts MMEngine takes as objects as well, from configs in Python."""


def check_host_keys(config: Config) -> None:
    """Refuse values of kinds that nothing can be built of.

    Args:
        config: Any config.

    Raises:
        ConfigError: If there is one, with its name.
    """
    for name, kind in KINDS.items():
        value = _value(config, name)
        if value is not None and not _is_object(name, value):
            _check(name, value, kind)
    for loader in LOADERS:
        _check_dataset(f'{loader}.dataset', _value(config, f'{loader}.dataset'))
    for name, hook in (config.get('default_hooks') or {}).items():
        if hook is not None:
            _check(f'default_hooks.{name}', hook, SECTION)


def _value(config: Config, name: str) -> Any:
    value: Any = config
    for key in name.split('.'):
        if not isinstance(value, (Config, Mapping)):
            return None
        value = value.get(key)
    return value


def _check(name: str, value: Any, kind: Kind) -> None:
    if value not in kind:
        raise ConfigError(f'{name} must be {kind}, got {shortened(value)}')
    for number, element in enumerate(_elements(name, value)):
        if element not in SECTION and not _is_object(name, element):
            raise ConfigError(
                f'{name}.{number} must be {SECTION}, got {shortened(element)}'
            )


def _elements(name: str, value: Any) -> Iterator[Any]:
    if name.rpartition('.')[2] in (*LISTED, 'pipeline') and not isinstance(
        value, Mapping
    ):
        yield from value


def _check_dataset(name: str, dataset: Any) -> None:
    if dataset is None:
        return
    _check(name, dataset, SECTION)
    for key, kind in DATASET_KINDS.items():
        if dataset.get(key) is not None:
            _check(f'{name}.{key}', dataset[key], kind)
    for prefix, folder in (dataset.get('data_prefix') or {}).items():
        if folder is not None:
            _check(f'{name}.data_prefix.{prefix}', folder, FOLDER)
    for key in INNER:
        inner = dataset.get(key)
        if isinstance(inner, (list, tuple)):
            for number, member in enumerate(inner):
                _check_dataset(f'{name}.{key}.{number}', member)
        else:
            _check_dataset(f'{name}.{key}', inner)


def _is_object(name: str, value: Any) -> bool:
    """Whether a value is an object that a config in Python built itself."""
    plain = (str, int, float, list, tuple, Mapping)
    return name.rpartition('.')[2] in BUILT_BY_CONFIG and not isinstance(value, plain)
