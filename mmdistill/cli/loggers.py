"""Services that a training also logs to, by MMEngine's visualization backends."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.cli.environment import FindModule, has_module, not_installed
from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError

LOCAL = 'LocalVisBackend'
"""MMEngine's own backend, which writes `vis_data/scalars.json`."""
MLFLOW_DEFAULT = 'sqlite:///mlflow.db'
"""Where MLflow itself logs by default, and `mlflow ui` looks: this folder. MMEngine's
own default are files, which recent versions of MLflow refuse."""
PARAMS = ('train_cfg', 'optim_wrapper', 'param_scheduler', 'randomness')
"""Sections of a config that MLflow lists as parameters; the whole is an artifact."""


@dataclass(frozen=True)
class Logger:
    """A service that scalars are logged to.

    Attributes:
        backend: Its backend of MMEngine.
        module: The module that the backend imports.
        package: The package that has it, as pip installs it.
    """

    backend: str
    module: str
    package: str


LOGGERS = {
    'tensorboard': Logger('TensorboardVisBackend', 'tensorboard', 'tensorboard'),
    'wandb': Logger('WandbVisBackend', 'wandb', 'wandb'),
    'mlflow': Logger('mmdistill.MLflowBackend', 'mlflow', 'mlflow'),
}
"""Services by their name on the command line."""


def check_logger(name: str | None, find: FindModule = has_module) -> None:
    """Make sure that the package of a service is installed.

    Args:
        name: Name of the service; None for none.
        find: Function that checks whether a module exists.

    Raises:
        ConfigError: If it is not, with the command that installs it.
    """
    if name is not None and not find(LOGGERS[name].module):
        package = LOGGERS[name].package
        fix = not_installed(package, f'`pip install {package}`')
        raise ConfigError(f'--logger {name}: {fix}')


def add_logger(config: Config, name: str) -> None:
    """Add a service to those that a training logs to.

    Args:
        config: A training config, which is changed; what it logs to already stays.
        name: Name of the service.
    """
    logger = LOGGERS[name]
    visualizer = config.get('visualizer')
    if not visualizer:
        # What MMEngine's runner builds where there is none.
        visualizer = dict(type='Visualizer', vis_backends=[dict(type=LOCAL)])
    backends = list(visualizer.get('vis_backends') or [])
    short = logger.backend.rpartition('.')[2]
    if not any(is_type(backend, short) for backend in backends):
        backends.append(dict(type=logger.backend, **_arguments(config, name)))
    config.visualizer = {**visualizer, 'vis_backends': backends}
    hooks = config.get('default_hooks') or {}
    if 'max_iters' in (config.get('train_cfg') or {}) and hooks.get('logger'):
        # Else MMEngine logs each validation at step 0, the number of the epoch.
        hooks['logger'].setdefault('log_metric_by_epoch', False)


def _arguments(config: Config, name: str) -> dict[str, Any]:
    """Name a run after its folder, where that is the folder of one training."""
    has_rounds = (config.get('distill') or {}).get('rounds') is not None
    run = None if has_rounds else Path(config.work_dir).name
    if name == 'wandb':
        return dict(init_kwargs=dict(name=run)) if run else {}
    if name == 'mlflow':
        keys = [key for key in PARAMS if config.get(key) is not None]
        uri = os.environ.get('MLFLOW_TRACKING_URI', MLFLOW_DEFAULT)
        return dict(run_name=run, tracking_uri=uri, tracked_config_keys=keys)
    return {}
