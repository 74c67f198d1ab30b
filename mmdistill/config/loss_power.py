"""How a student's losses count keypoint weights, and which cannot.

Most losses of MMPose multiply their terms by the weight. Some multiply prediction and
target by it before they square the difference, so that a weight counts its square; a
`PseudoLabelDataset` gives those the root, by its `loss_power`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmpose.registry import MODELS

from mmdistill.config.datasets import is_pseudo
from mmdistill.config.schema import dicts_within, is_type
from mmdistill.config.target_sigma import check_target_sigma
from mmdistill.config.weight_options import WeightsConfig
from mmdistill.errors import ConfigError
from mmdistill.utils.logging import warn

POWERS = {
    'KeypointMSELoss': 1,
    'FocalHeatmapLoss': 1,
    'MLECCLoss': 1,
    'KLDiscretLoss': 1,
    'JSDiscretLoss': 1,
    'BCELoss': 1,
    'VariFocalLoss': 1,
    'L1Loss': 1,
    'RLELoss': 1,
    'MPJPELoss': 1,
    'SoftWeightSmoothL1Loss': 1,
    'SoftWingLoss': 1,
    # Within a few percent: differences of normalized coordinates are far below epsilon.
    'WingLoss': 1,
    'CombinedTargetMSELoss': 2,
    'KeypointOHKMMSELoss': 2,
    'MSELoss': 2,
    # Differences of normalized coordinates are below its beta, where it is a square.
    'SmoothL1Loss': 2,
}
"""Power of a keypoint weight that a loss counts."""
OF_NO_POWER = ('AdaptiveWingLoss',)
"""Losses with the weight in exponents or logarithms."""
VISIBILITY = 'VisPredictHead'


def with_loss_power(config: Config) -> Config:
    """The config whose weighted pseudo-labels know how the losses count weights.

    A config without weighted pseudo-labels stays as it is, and so do sources whose
    losses count weights as they are.

    Args:
        config: A training config.

    Raises:
        ConfigError: If the model cannot train with the weights or sigma stated, or a
            source states another `loss_power`.
    """
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    if not any(map(_is_weighted, _pseudo_sources(dataset))):
        return config
    config = copy.deepcopy(config)
    dataset = config.train_dataloader.dataset
    head = (config.get('model') or {}).get('head') or {}
    for source in filter(_is_weighted, _pseudo_sources(dataset)):
        weights = WeightsConfig.of(source.get('weights'))
        if weights is not None:
            check_target_sigma(dataset, weights.sigma)
        if 'loss_power' in source and unknown_losses(head):
            continue
        power = power_of_source(head, source.get('pseudo_weight', 1), weights)
        if power is None:
            continue
        if source.setdefault('loss_power', power) != power:
            raise ConfigError(
                f'the losses of {head.get("type")} count keypoint weights at a power '
                f'of {power}: loss_power must be {power}, got {source["loss_power"]}'
            )
        if power == 1:
            source.pop('loss_power')
    return config


def unknown_losses(head: Mapping[str, Any]) -> list[str]:
    """Names of a head's losses of which it is not known how they count weights.

    Args:
        head: Config of the head.
    """
    known = (*POWERS, *OF_NO_POWER)
    return [name for name in _names(_losses(head)) if name not in known]


def power_of_source(
    head: Mapping[str, Any], pseudo_weight: float, weights: WeightsConfig | None
) -> int | list[int] | None:
    """The power at which a head's losses count the weights of pseudo-labels.

    Args:
        head: Config of the head.
        pseudo_weight: Weight of all keypoints of the source.
        weights: What each weighs besides.

    Returns:
        The power, or one for each level of targets; None where all weigh 1.

    Raises:
        ConfigError: If the head or its loss cannot train with such weights.
    """
    if weights is not None and weights.varies:
        name, value = 'weights', f'by {weights.criterion}'
        rule = f'weights must be None, got {weights}'
    elif pseudo_weight != 1:
        name, value = 'pseudo_weight', f'{pseudo_weight}'
        rule = f'pseudo_weight must be 1, got {pseudo_weight}'
    else:
        return None
    if any(is_type(each, VISIBILITY) for each in dicts_within(head)):
        raise ConfigError(
            f'{VISIBILITY} learns the keypoint weights as visibilities: {rule}'
        )
    _check_reached(head, rule)
    losses = _losses(head)
    for loss in _leaves(losses):
        if not _uses_weights(loss):
            raise ConfigError(
                f'{name} {value} would do nothing: the loss {loss.get("type")} needs '
                'use_target_weight=True'
            )
    if pseudo_weight == 0 and name == 'pseudo_weight':
        return None  # a loss of any power is 0
    return _power(head, losses, rule)


def _check_reached(head: Mapping[str, Any], rule: str) -> None:
    """Refuse a head whose terms keypoint weights do not all reach, or none.

    Heads of whole images have several losses, each with a setting of its own, and
    boxes, offsets or tags among them.
    """
    kind = MODELS.get(head['type']) if 'type' in head else None
    if kind is None or 'loss' in head or 'loss' in inspect.signature(kind).parameters:
        return
    names = ', '.join(key for key in head if 'loss' in key) or 'losses of its own'
    raise ConfigError(
        f'{head["type"]} trains by {names}, which keypoint weights of pseudo-labels do '
        f'not reach or only in part: {rule}'
    )


def _power(head: Mapping[str, Any], losses: Any, rule: str) -> int | list[int]:
    levels = head.get('level_indices')
    if isinstance(losses, (list, tuple)) and levels and len(levels) == len(losses):
        # Of several stages and units each has targets of one level.
        pairs = [*zip(losses, levels, strict=True)]
        powers = [
            _common_power([loss for loss, level in pairs if level == number], rule)
            for number in range(max(levels) + 1)
        ]
        return powers if len(set(powers)) > 1 else powers[0]
    return _common_power(losses, rule)


def _common_power(losses: Any, rule: str) -> int:
    """The power of losses that get the same weights."""
    names = _names(losses)
    for name in names:
        if name in OF_NO_POWER:
            raise ConfigError(
                f'{name} has keypoint weights in exponents, so that a weight of one '
                f'half counts anything but half: {rule}'
            )
        if name not in POWERS:
            warn(
                f'the loss {name} is not known and taken to multiply its terms by the '
                'keypoint weights; if it squares them, state loss_power=2 for the '
                'PseudoLabelDataset'
            )
    powers = {POWERS.get(name, 1) for name in names}
    if len(powers) > 1:
        raise ConfigError(
            f'of the losses {", ".join(dict.fromkeys(names))} some square the keypoint '
            f'weights and some do not, so that no weight is right for all: {rule}'
        )
    return powers.pop() if powers else 1


def _pseudo_sources(dataset: Any) -> Iterator[Any]:
    yield from filter(is_pseudo, dicts_within(dataset))


def _is_weighted(source: Mapping[str, Any]) -> bool:
    return source.get('pseudo_weight', 1) != 1 or source.get('weights') is not None


def _losses(head: Mapping[str, Any]) -> Any:
    """Configs of a head's losses, those that its class has by default included."""
    if 'loss' in head or 'type' not in head:
        return head.get('loss') or []
    default = _default(MODELS.get(head['type']), 'loss')
    return [] if default is inspect.Parameter.empty else default


def _leaves(losses: Any) -> Sequence[Mapping[str, Any]]:
    """Configs of losses without those that only hold several."""
    found = dicts_within(losses)
    return [each for each in found if 'type' in each and 'losses' not in each]


def _names(losses: Any) -> list[str]:
    return [str(loss.get('type')).rpartition('.')[2] for loss in _leaves(losses)]


def _uses_weights(loss: Mapping[str, Any]) -> bool:
    used = loss.get('use_target_weight')
    if used is None:
        used = _default(MODELS.get(loss['type']), 'use_target_weight')
        # One that has no such switch is not known, or always takes weights.
        used = True if used is inspect.Parameter.empty else used
    return bool(used)


def _default(kind: Any, name: str) -> Any:
    """The default of an argument of a class; `empty` where there is none."""
    if kind is None:
        return inspect.Parameter.empty
    parameter = inspect.signature(kind).parameters.get(name)
    return inspect.Parameter.empty if parameter is None else parameter.default
