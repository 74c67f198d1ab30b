"""Trial build of a training's transforms, data sets and model before labeling.

A transform may need a package that is not installed, and a model may name a type that
is not registered. MMEngine notices when it builds them, which is after labeling.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.fileio import get_file_backend
from mmengine.registry import DATASETS, MODELS, TRANSFORMS, init_default_scope

from mmdistill.cli.environment import (
    PACKAGE_OF_TRANSFORM,
    TRANSFORM_COMMANDS,
    install_command,
    not_installed,
)
from mmdistill.config.datasets import registered_dataset
from mmdistill.engine.dry_evaluation import (
    check_balanced,
    check_evaluation,
    check_metric_files,
)
from mmdistill.engine.dry_schedule import check_loop_parts, check_schedule_parts
from mmdistill.errors import ConfigError, UserError, shortened

PIPELINE_KEYS = ('pipeline', 'switch_pipeline', 'new_train_pipeline')
NOT_INSTALLED = re.compile(
    r"(?:No module named '([\w.]+)'|\b([\w.-]+) is not installed)"
)

NOT_REGISTERED = re.compile(r'([\w.]+) is not in the [\w:]+ registry')


def check_training_parts(config: Config) -> None:
    """Build the parts of a training, without its weights and data, and discard them.

    Args:
        config: A training config.

    Raises:
        UserError: If one cannot be built, with its name, and the missing package with
            the command that installs it.
    """
    _check_data_and_model(config, ('train_dataloader', 'val_dataloader'))
    check_schedule_parts(config)


def check_test_parts(config: Config) -> None:
    """Build the parts of a test, without its weights and data, and discard them.

    Args:
        config: A test config.

    Raises:
        UserError: If one cannot be built, as in `check_training_parts`, or the file of
            a metric is missing or that of other images.
    """
    _check_data_and_model(config, ('test_dataloader',))
    check_loop_parts(config, ('test_cfg',), ('test_evaluator',))
    check_evaluation(config, 'test')
    check_metric_files(config, 'test')


def check_validation(config: Config) -> None:
    """Make sure that the validation of a training can run, before its labels are made.

    Args:
        config: A training config, its annotations read.

    Raises:
        UserError: If a metric cannot be built, or its file is missing or that of other
            images, or if a pipeline is empty.
    """
    init_default_scope(config.get('default_scope') or 'mmpose')
    check_evaluation(config, 'val')
    check_metric_files(config, 'val')


def _check_data_and_model(config: Config, loaders: Sequence[str]) -> None:
    init_default_scope(config.get('default_scope') or 'mmpose')
    for loader in loaders:
        _check_datasets(config.get(loader))
    for section, pipeline in _pipelines(config, (*loaders, 'custom_hooks')):
        for transform in pipeline:
            _check_transform(section, transform)
    if config.get('model'):
        _check_model(config.model)


def _pipelines(
    config: Config, sections: Sequence[str]
) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    """Iterate over the pipelines of data sets and of hooks that switch them."""
    for section in sections:
        yield from _pipelines_within(section, config.get(section))


def _pipelines_within(section: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _pipelines_within(section, item)
    if isinstance(value, dict):
        for name, item in value.items():
            if name in PIPELINE_KEYS and isinstance(item, (list, tuple)):
                yield section, item
            else:
                yield from _pipelines_within(section, item)


def _check_transform(section: str, transform: Any) -> None:
    if not isinstance(transform, dict):
        return
    try:
        TRANSFORMS.build(copy.deepcopy(transform))
    except UserError:
        raise
    except Exception as error:
        name = str(transform.get('type')).rpartition('.')[2]
        raise ConfigError(
            f'the transform {name} of {section} cannot be built: {_reason(name, error)}'
        ) from error
    _check_backend(section, transform)


def _check_backend(section: str, transform: Mapping[str, Any]) -> None:
    """Make sure that the file backend of a transform that reads images works."""
    arguments = transform.get('backend_args')
    if not arguments:
        return
    try:
        get_file_backend(backend_args=dict(arguments))
    except Exception as error:
        text = ' '.join(str(error).split()).rstrip('.')
        raise ConfigError(
            f'the transform {transform.get("type")} of {section} cannot read by '
            f'backend_args={shortened(dict(arguments))}: {text}; set backend_args=None '
            'if the images are on this disk'
        ) from error


def _check_datasets(configs: Any) -> None:
    """Make sure that the classes of data sets and of their wrappers are registered."""
    for config in configs if isinstance(configs, (list, tuple)) else [configs]:
        if not isinstance(config, dict):
            continue
        for name in ('dataset', 'datasets'):
            _check_datasets(config.get(name))
        kind = config.get('type')
        is_dataset = 'dataset' not in config or 'batch_size' not in config
        if is_dataset and isinstance(kind, str) and not _is_registered(kind):
            registered_dataset(config)
        check_balanced(config)


def _is_registered(kind: str) -> bool:
    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(kind) is not None


def _check_model(model: Mapping[str, Any]) -> None:
    """Build a model without memory for its weights."""
    try:
        with torch.device('meta'):
            MODELS.build(copy.deepcopy(dict(model)))
    except (KeyError, ImportError) as error:
        raise ConfigError(
            f'the model {model.get("type")} cannot be built: {_reason("", error)}'
        ) from error
    except Exception as error:
        # Tensors of this device have no values, which some models read: other errors
        # are left to the training.
        logging.getLogger(__name__).debug('%s', error)


def _reason(transform: str, error: Exception) -> str:
    """Explain why something cannot be built, with the command that fixes it."""
    text = ' '.join(str(error.args[0] if error.args else error).split())
    missing = NOT_INSTALLED.search(text)
    package = PACKAGE_OF_TRANSFORM.get(transform)
    if missing:
        module = (missing[1] or missing[2]).partition('.')[0]
        return not_installed(module, f'`{install_command(module)}`')
    is_pinned = (
        package and f'"{package}=={_version(package)}"' in TRANSFORM_COMMANDS[package]
    )
    if package and not is_pinned:
        return (
            f'{package} {_version(package)} does not fit MMPose ({text}); run '
            f'`{TRANSFORM_COMMANDS[package]}`'
        )
    unregistered = NOT_REGISTERED.search(text)
    if unregistered:
        return f'{unregistered[0]}; {_registration_advice(unregistered[1])}'
    return text


def _registration_advice(kind: str) -> str:
    """Advise how to register a type."""
    package = kind.partition('.')[0]
    if '.' in kind and importlib.util.find_spec(package) is None:
        fix = f'`{install_command(package)}`'
        return f'the package {not_installed(package, fix)}'
    return 'import its module by custom_imports, if it has one'


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return 'of unknown version'
