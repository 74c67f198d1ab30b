"""Loaders of a config: what torch would refuse, refused before anything runs."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmdistill.errors import UserError
from mmdistill.section_values import AT_LEAST_ONE, COUNT, Fields, Kind, Switch

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
KINDS: dict[str, Kind] = {
    'batch_size': AT_LEAST_ONE,
    'num_workers': COUNT,
    'persistent_workers': Switch(),
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
        raise UserError(f'{name} must be a dict, got {loader!r}')
    for key, kind in KINDS.items():
        value = loader.get(key)
        if value is not None and value not in kind:
            raise UserError(f'{name}.{key} must be {kind}, got {value!r}')
    if not loader.get('num_workers'):
        for key in OF_WORKERS:
            loader.pop(key, None)
