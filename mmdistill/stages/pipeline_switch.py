"""Hooks that switch the pipeline of a training: for all of its sources.

A module of its own: noise, mixing and the finish have to know them. MMDetection's hook
sets the pipeline of the data set that the loader has, which nothing reads where that
one concatenates or seeds others.
"""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmdistill.config.schema import is_type

SWITCH_HOOKS = ('PipelineSwitchHook', 'SourcePipelineSwitchHook')
"""MMDetection's hook, and the one that reaches the sources within."""


def switches_pipeline(hook: Any) -> bool:
    """Whether a hook switches the pipeline of a training.

    Args:
        hook: Its config.
    """
    return any(is_type(hook, name) for name in SWITCH_HOOKS)


def switch_all_sources(config: Config) -> None:
    """Let hooks that switch the pipeline reach the sources within the data set.

    Args:
        config: A training config with its loader; it is changed.
    """
    hooks = [dict(hook) for hook in config.get('custom_hooks') or []]
    switching = [hook for hook in hooks if switches_pipeline(hook)]
    for hook in switching:
        hook['type'] = f'mmdistill.{SWITCH_HOOKS[-1]}'
    if switching:
        config.custom_hooks = hooks
        # Workers that live on would keep the pipeline they started with.
        config.train_dataloader['persistent_workers'] = False
