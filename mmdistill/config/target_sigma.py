"""Targets of pseudo-labels whose sigma is another one than that of labels.

A wider target says that a position is less sure; STLD (TIP 2024) trains landmarks on
pseudo-labels so.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from mmpose.registry import KEYPOINT_CODECS

from mmdistill.config.schema import dicts_within, is_type
from mmdistill.errors import ConfigError

WITH_SIGMA = ('MSRAHeatmap', 'UDPHeatmap', 'SimCCLabel')
"""Codecs whose targets are Gaussians around a keypoint, as wide as their sigma."""
TARGET = 'GenerateTarget'


def widened_encoder(encoder: Any, factor: float) -> Any:
    """The config of an encoder, or of a list of them, with another sigma.

    Args:
        encoder: Config of the codec, or a list of configs.
        factor: Factor of its sigma; SimCC's has one for each axis.

    Raises:
        ConfigError: If the targets of a codec have no sigma.
    """
    if isinstance(encoder, (list, tuple)):
        return [widened_encoder(each, factor) for each in encoder]
    _check(encoder, factor)
    sigma = encoder['sigma'] if 'sigma' in encoder else _default_sigma(encoder)
    scaled = np.asarray(sigma, dtype=np.float64) * factor
    return {**encoder, 'sigma': scaled.tolist() if scaled.ndim else float(scaled)}


def check_target_sigma(dataset: Any, factor: float) -> None:
    """Refuse another sigma for codecs that have none, before anything is built.

    Args:
        dataset: Config of a data set; the targets of all its pipelines count.
        factor: Factor of the sigma; 1 is fit for all.

    Raises:
        ConfigError: If the targets of a codec have no sigma.
    """
    if factor == 1:
        return
    for encoder in _encoders(dataset):
        _check(encoder, factor)


def _encoders(dataset: Any) -> Iterator[Mapping[str, Any]]:
    for step in dicts_within(dataset):
        if is_type(step, TARGET):
            encoders = step.get('encoder')
            yield from encoders if isinstance(encoders, (list, tuple)) else [encoders]


def _check(encoder: Mapping[str, Any], factor: float) -> None:
    name = str(encoder.get('type')).rpartition('.')[2]
    if name == 'UDPHeatmap' and encoder.get('heatmap_type', 'gaussian') != 'gaussian':
        name = f'UDPHeatmap of heatmap_type {encoder["heatmap_type"]!r}'
    elif name == 'SimCCLabel' and encoder.get('smoothing_type', GAUSSIAN) != GAUSSIAN:
        name = f'SimCCLabel of smoothing_type {encoder["smoothing_type"]!r}'
    elif name in WITH_SIGMA:
        return
    raise ConfigError(
        f'targets of {name} have no sigma to multiply, only those of '
        f'{", ".join(WITH_SIGMA)} have: weights.sigma must be 1, got {factor:g}'
    )


GAUSSIAN = 'gaussian'


def _default_sigma(encoder: Mapping[str, Any]) -> Any:
    codec = KEYPOINT_CODECS.get(encoder['type'])
    sigma = inspect.signature(codec).parameters['sigma'].default
    if sigma is inspect.Parameter.empty:
        raise ConfigError(f'the codec {encoder["type"]} needs a sigma, got none')
    return sigma
