"""Hooks that switch the pipeline of a training: for all of its sources.

A module of its own: noise, mixing and the finish have to know them. The hosts' hooks
set the pipeline of the data set that the loader has, which nothing reads where that
one concatenates or seeds others, or build another loader from its config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError

SWITCH_HOOKS = ('PipelineSwitchHook', 'SourcePipelineSwitchHook')
"""MMDetection's hook, and the one that reaches the sources within."""
MODE_HOOK = 'mmdistill.SourceModeSwitchHook'
"""The one for hooks that switch the last epochs, and attributes of the model."""
SKIPPED = ('Mosaic', 'RandomAffine', 'MixUp')
"""What MMDetection's YOLOX hook leaves out by default."""


def switches_pipeline(hook: Any) -> bool:
    """Whether a hook switches the pipeline of a training at a stated epoch.

    Args:
        hook: Its config.
    """
    return any(is_type(hook, name) for name in SWITCH_HOOKS)


def switch_all_sources(config: Config) -> None:
    """Let hooks that switch the pipeline reach the sources within the data set.

    Args:
        config: A training config with its loader; it is changed.

    Raises:
        ConfigError: If one counts epochs in a training of iterations.
    """
    hooks = [dict(hook) for hook in config.get('custom_hooks') or []]
    switching = [hook for hook in hooks if switches_pipeline(hook)]
    for hook in switching:
        hook['type'] = f'mmdistill.{SWITCH_HOOKS[-1]}'
    if switching:
        _exchange(config, hooks)
    switch_modes(config)


def switch_modes(config: Config) -> None:
    """Let hooks that switch modes reach the sources within the data set.

    Args:
        config: A training config with its loader; it is changed.

    Raises:
        ConfigError: If one counts epochs in a training of iterations.
    """
    hooks = [dict(hook) for hook in config.get('custom_hooks') or []]
    names = [_mode_of(hook) for hook in hooks]
    for number, name in enumerate(names):
        if name is not None:
            _check_epochs(config, name)
            hook = hooks[number]
            rest = {key: hook[key] for key in ('priority',) if key in hook}
            hooks[number] = dict(type=MODE_HOOK, **MODE_HOOKS[name](hook), **rest)
    if any(names):
        _exchange(config, hooks)


def _mode_of(hook: Mapping[str, Any]) -> str | None:
    """The hook of a host that a hook is, of those that switch modes."""
    return next((name for name in MODE_HOOKS if is_type(hook, name)), None)


def _exchange(config: Config, hooks: list[dict[str, Any]]) -> None:
    config.custom_hooks = hooks
    # Workers that live on would keep the pipeline they started with.
    config.train_dataloader['persistent_workers'] = False


def _check_epochs(config: Config, name: str) -> None:
    if config.train_cfg.get('max_epochs') is None:
        raise ConfigError(
            f'{name} of custom_hooks counts epochs, and train_cfg states none: '
            f'{dict(config.train_cfg)}; state train_cfg.max_epochs, or leave the hook '
            'out'
        )


def _of_yolox_pose(hook: Mapping[str, Any]) -> dict[str, Any]:
    if hook.get('new_train_dataset'):
        print_log(
            'new_train_dataset of YOLOXPoseModeSwitchHook is not used: it would take '
            'the place of the labeled set and of the pseudo-labels, so the last epochs '
            'go on with both, in new_train_pipeline',
            logger='current',
        )
    return dict(
        num_last_epochs=hook.get('num_last_epochs', 20),
        new_train_pipeline=hook.get('new_train_pipeline'),
        last_attributes={'head.use_aux_loss': True},
    )


def _of_rtmo(hook: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {
        epoch: {f'head.{name}': value for name, value in values.items()}
        for epoch, values in hook['epoch_attributes'].items()
    }
    return dict(epoch_attributes=attributes)


def _of_yolox(hook: Mapping[str, Any]) -> dict[str, Any]:
    return dict(
        num_last_epochs=hook.get('num_last_epochs', 15),
        skip_type_keys=hook.get('skip_type_keys', SKIPPED),
        last_attributes={'bbox_head.use_l1': True},
    )


MODE_HOOKS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    'YOLOXPoseModeSwitchHook': _of_yolox_pose,
    'RTMOModeSwitchHook': _of_rtmo,
    'YOLOXModeSwitchHook': _of_yolox,
}
"""Hooks of the hosts that switch modes, and the settings of ours that do the same."""
