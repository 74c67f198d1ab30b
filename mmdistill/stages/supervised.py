"""The config of a supervised training that has what a student gets beside labels.

A student is noised, may finish on labels alone and average its weights. Compared with a
plain supervised training it would gain by these as well as by its pseudo-labels; with
one that has the same, by its pseudo-labels alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mmengine.config import Config

from mmdistill.config.schema import DistillConfig
from mmdistill.errors import ConfigError

TRANSFORMS = {
    'noise': 'mmdistill.stages.noise.with_noise',
    'finish': 'mmdistill.stages.finish.with_finish',
    'ema': 'mmdistill.stages.averaging.with_ema',
}
"""Functions of a config and a section of `distill`, by the section, in their order."""


def supervised_config(config: Config, distill: DistillConfig) -> Config:
    """The config of a supervised training with a student's noise, finish and EMA.

    Noise is seen by all samples: there are no others. Pseudo-labels, their weights and
    rounds have no part in it.

    Args:
        config: A training config without a `distill` section; it stays as it is.
        distill: The section of the student that it is compared with.

    Returns:
        The config, unchanged where the section has none of these.

    Raises:
        UserError: If the config has a section of its own, or cannot be given them.
    """
    if 'distill' in config:
        raise ConfigError(
            f'{config.filename} has a distill section; a supervised training to '
            'compare with a student has none'
        )
    for name in TRANSFORMS:
        section = getattr(distill, name, None)
        if section is None:
            continue
        if name == 'noise':
            section = replace(section, sources='all')
        config = _transform(name)(config, section)
    return config


def _transform(name: str) -> Callable[[Config, Any], Config]:
    module, _, function = TRANSFORMS[name].rpartition('.')
    transform: Callable[[Config, Any], Config] = getattr(
        importlib.import_module(module), function
    )
    return transform
