"""The config of a model whose own stochastic depth has another rate.

Stochastic depth (Huang et al., ECCV 2016) leaves out residual branches of a sample's
training step. It is part of a network, so only networks that have it can be given a
rate: which do is asked of their constructors, not of a list of names.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

from mmpose.registry import MODELS

from mmdistill.config.schema import dicts_within
from mmdistill.errors import ConfigError

RATES = ('drop_path_rate', 'drop_path', 'drop_connect_rate')
"""Arguments by which the networks of MMPose, MMPretrain and others take a rate."""


def with_drop_path(model: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """A model's config with another rate of stochastic depth.

    It is set where the backbone's constructor has an argument for it (Swin, PVT, ViT),
    where its config states one within another setting (`extra` of HRFormer), and where
    a setting of the head has one by default (`gau_cfg` of RTMPose).

    Args:
        model: Config of a pose estimator.
        rate: How often a branch is left out, in [0, 1).

    Returns:
        The config; the original is unchanged.

    Raises:
        ConfigError: If neither has stochastic depth, by the backbone's name.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(model))
    backbone, head = changed.get('backbone') or {}, changed.get('head') or {}
    if not (_set_in_backbone(backbone, rate) | _set_in_head(head, rate)):
        raise ConfigError(
            f'distill.noise.drop_path {rate:g} needs stochastic depth, which neither '
            f'the backbone {backbone.get("type")} nor the head {head.get("type")} '
            'has; leave drop_path out: feature_dropout works behind any backbone'
        )
    return changed


def _set_in_backbone(backbone: dict[str, Any], rate: float) -> bool:
    own = [name for name in RATES if name in _arguments(backbone)]
    for name in own:
        backbone[name] = rate
    nested = [
        (inner, name)
        for value in backbone.values()
        for inner in dicts_within(value)
        for name in RATES
        if name in inner
    ]
    for inner, name in nested:
        inner[name] = rate
    return bool(own or nested)


def _set_in_head(head: dict[str, Any], rate: float) -> bool:
    """Set it in those settings of a head that have a rate, stated or by default."""
    found = False
    for name, argument in _arguments(head).items():
        default = argument.default
        if not isinstance(default, Mapping):
            continue
        for key in RATES:
            if key in default:
                head[name] = {**(head.get(name) or default), key: rate}
                found = True
    return found


def _arguments(part: Mapping[str, Any]) -> dict[str, inspect.Parameter]:
    """The arguments of a part's constructor, through `**kwargs` to its bases."""
    kind = part.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    arguments: dict[str, inspect.Parameter] = {}
    for base in inspect.getmro(kind) if isinstance(kind, type) else ():
        constructor = vars(base).get('__init__')
        if constructor is None:
            continue
        own = inspect.signature(constructor).parameters
        arguments = {**own, **arguments}
        passes_on = inspect.Parameter.VAR_KEYWORD
        if not any(each.kind is passes_on for each in own.values()):
            break
    return arguments
