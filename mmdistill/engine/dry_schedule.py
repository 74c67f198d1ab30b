"""Trial build of a training's optimizer, schedulers, hooks and loops before labeling.

A misspelled setting or type is noticed when MMEngine builds the part, which is after
labeling. Optimizer and schedulers are built for one weight; hooks, loops and metrics
are only looked up, and their settings compared with those of their classes.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import (
    EVALUATOR,
    HOOKS,
    LOOPS,
    METRICS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    Registry,
)

from mmdistill.config.kinds import unknown_key
from mmdistill.errors import ConfigError, UserError

OF_SEVERAL_PROCESSES = ('ZeroRedundancyOptimizer', 'FSDP')
"""Optimizers that need a process group."""
GIVEN_TO_LOOPS = ('runner', 'dataloader', 'evaluator', 'by_epoch')
GIVEN_TO_HOOKS = ('priority',)
LENGTHS = ('max_iters', 'max_epochs')
"""Lengths of a training, which labeling does not need."""
LOOP_KEYS = {'train_cfg': None, 'val_cfg': 'ValLoop', 'test_cfg': 'TestLoop'}
EVALUATORS = ('val_evaluator', 'test_evaluator')
FAR, EPOCH_LENGTH = 10**6, 100
"""End of a scheduler that takes the training's length, and batches of an epoch."""


def check_schedule_parts(config: Config) -> None:
    """Build or look up what a training consists of beside its data and model.

    Args:
        config: A training config.

    Raises:
        ConfigError: If a part cannot be built, with its name and the reason.
    """
    check_loop_parts(config, (*LOOP_KEYS,), EVALUATORS)
    optimizer = _build_optimizer(config.get('optim_wrapper') or {})
    if optimizer is not None:
        for name, scheduler in listed_parts(
            'param_scheduler', config.get('param_scheduler')
        ):
            _build_scheduler(name, scheduler, optimizer)


def check_loop_parts(
    config: Config, loops: Sequence[str], evaluators: Sequence[str]
) -> None:
    """Look up hooks, loops and metrics, and compare their settings.

    Args:
        config: A config of any stage.
        loops: Keys of the loops, such as `test_cfg`.
        evaluators: Keys of the metrics, such as `test_evaluator`.

    Raises:
        ConfigError: If a part is not registered or lacks a setting, with its name.
    """
    for name, hook in _hooks(config):
        _check_settings(name, hook, HOOKS, GIVEN_TO_HOOKS)
    for name in loops:
        loop = config.get(name)
        if loop:
            kind = loop.get('type') or LOOP_KEYS[name] or _training_loop(loop)
            _check_settings(name, {**loop, 'type': kind}, LOOPS, GIVEN_TO_LOOPS)
    for name in evaluators:
        for part_name, part in listed_parts(name, config.get(name)):
            if 'metrics' not in part:
                _check_settings(part_name, part, METRICS, ())
                continue
            _check_settings(part_name, {'type': 'Evaluator', **part}, EVALUATOR, ())
            for metric_name, metric in listed_parts(
                f'{part_name}.metrics', part['metrics']
            ):
                _check_settings(metric_name, metric, METRICS, ())


def _training_loop(loop: Mapping[str, Any]) -> str:
    if 'by_epoch' not in loop:
        raise ConfigError(
            f'train_cfg must state its type or by_epoch, got {dict(loop)}'
        )
    return 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'


def _hooks(config: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, hook in (config.get('default_hooks') or {}).items():
        if isinstance(hook, Mapping) and 'type' in hook:
            yield f'default_hooks.{name}', hook
    yield from listed_parts('custom_hooks', config.get('custom_hooks'))


def listed_parts(name: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Iterate over the dicts of a key that holds one or a list of them.

    Args:
        name: The key.
        value: What it holds.
    """
    if isinstance(value, Mapping):
        yield name, value
    elif isinstance(value, Sequence):
        for number, each in enumerate(value):
            if isinstance(each, Mapping):
                yield f'{name}.{number}', each


def _check_settings(
    name: str, settings: Mapping[str, Any], registry: Registry, given: Sequence[str]
) -> None:
    """Compare the settings of a part with what its class takes."""
    kind = registered_part(name, settings, registry)
    stated = {key for key in settings if key not in ('type', '_scope_', *given)}
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):  # a class of C
        return
    known = {each.name for each in parameters}
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters)
    unknown = sorted(stated - known)
    if unknown and not takes_all:
        known -= set(GIVEN_TO_LOOPS)
        raise ConfigError(
            unknown_key(f'{name} ({settings["type"]})', unknown[0], known)
        )
    lacking = [
        each.name
        for each in parameters
        if each.default is each.empty
        and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
        and each.name not in {*stated, *given, *LENGTHS}
    ]
    if lacking:
        raise ConfigError(f'{name}: {settings["type"]} needs {" and ".join(lacking)}')


def registered_part(name: str, settings: Mapping[str, Any], registry: Registry) -> Any:
    """Return the class of a part of a run.

    Args:
        name: What the config calls it.
        settings: Its settings.
        registry: The registry of its kind.

    Raises:
        ConfigError: If it states no type, or one that is not registered.
    """
    kind = settings.get('type')
    if kind is None:
        raise ConfigError(f'{name} must state its type, got {dict(settings)}')
    if not isinstance(kind, str):
        return kind
    with registry.switch_scope_and_registry(settings.get('_scope_')) as scoped:
        found = scoped.get(kind)
    if found is None:
        raise ConfigError(
            f'{name}: {kind} is not registered; import its module by custom_imports, '
            'if it has one'
        )
    return found


def _build_optimizer(wrapper: Mapping[str, Any]) -> Any:
    """Build an optimizer for one weight; None where it is made in another way."""
    settings = wrapper.get('optimizer')
    if not settings or settings.get('type') in OF_SEVERAL_PROCESSES:
        return None
    if isinstance(settings.get('type'), str):
        registered_part('optim_wrapper.optimizer', settings, OPTIMIZERS)
    weight = torch.nn.Parameter(torch.zeros(1))
    built = {**copy.deepcopy(dict(settings)), 'params': [weight]}
    return built_part('optim_wrapper.optimizer', built, OPTIMIZERS)


def _build_scheduler(name: str, settings: Mapping[str, Any], optimizer: Any) -> None:
    registered_part(name, settings, PARAM_SCHEDULERS)
    built = copy.deepcopy(dict(settings))
    built.setdefault('end', FAR)
    given = dict(optimizer=optimizer, epoch_length=EPOCH_LENGTH)
    built_part(name, built, PARAM_SCHEDULERS, given)


def built_part(
    name: str,
    settings: dict[str, Any],
    registry: Registry,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Build a part of a run.

    Args:
        name: What the config calls it.
        settings: Its settings.
        registry: The registry of its kind.
        given: What a run gives to it beside its settings.

    Raises:
        ConfigError: If it cannot be built, with its name and the reason.
    """
    kind = settings.get('type')
    try:
        return registry.build(settings, default_args=dict(given or {}))
    except UserError:
        raise
    except (TypeError, ValueError, KeyError, ImportError, AssertionError) as error:
        text = ' '.join(str(error.args[0] if error.args else error).split())
        raise ConfigError(f'{name}: {kind} cannot be built: {text}') from error
