"""The config of a training that leaves averaged weights."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.finish_options import EmaConfig
from mmdistill.config.schema import stated

EMA_HOOK = 'mmdistill.FittedEMAHook'


def with_ema(config: Config, ema: EmaConfig) -> Config:
    """The config of a training whose checkpoints hold averaged weights.

    MMEngine's `EMAHook` is added, with a momentum that fits the length of the
    training, a finish included. A config that averages weights itself stays as it is,
    which the log says.

    Args:
        config: A training config, of a student or of a supervised training.
        ema: The momentum, where one is stated.
    """
    hooks = list(config.get('custom_hooks') or [])
    own = next(filter(_averages, hooks), None)
    if own is not None:
        print_log(
            f'the config averages weights itself, by {own["type"]}: distill.ema does '
            'not count',
            logger='current',
        )
        return config
    config = copy.deepcopy(config)
    config.custom_hooks = [*hooks, dict(type=EMA_HOOK, **stated(ema))]
    return config


def _averages(hook: Any) -> bool:
    """Whether a hook is MMEngine's `EMAHook` or one that is made of it."""
    return str(hook.get('type')).endswith('EMAHook')
