"""The config of a supervised training that has what a student gets beside labels.

A student is noised, may finish on labels alone and average its weights. Compared with a
plain supervised training it would gain by these as well as by its pseudo-labels; with
one that has the same, by its pseudo-labels alone.
"""

from __future__ import annotations

from dataclasses import replace

from mmengine.config import Config

from mmdistill.config.schema import DistillConfig
from mmdistill.errors import ConfigError
from mmdistill.stages.averaging import with_ema
from mmdistill.stages.finish import with_finish
from mmdistill.stages.noise import with_noise


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
    if distill.noise is not None:
        config = with_noise(config, replace(distill.noise, sources='all'))
    if distill.finish is not None:
        config = with_finish(config, distill.finish)
    if distill.ema is not None:
        config = with_ema(config, distill.ema)
    return config
