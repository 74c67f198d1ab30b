"""Pipelines whose keypoint converters meet what MMPose's data sets give."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import Config

from mmdistill.config_types import is_type
from mmdistill.dataset_configs import CONVERTERS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
DROP = 'DropNoneValues'


def fit_converters(config: Config) -> Config:
    """The config with samples made fit for the keypoint converters in its pipelines.

    MMPose's whole-body data sets and its converters do not go together as they are:
    see `DropNoneValues`. A config without converters stays as it is.

    Args:
        config: A config of any stage.
    """
    if not any(_has_converter(config.get(name)) for name in LOADERS):
        return config
    config = copy.deepcopy(config)
    for name in LOADERS:
        _fit(config.get(name))
    return config


def _has_converter(part: Any) -> bool:
    if isinstance(part, dict):
        return _converts(part) or any(map(_has_converter, part.values()))
    return isinstance(part, (list, tuple)) and any(map(_has_converter, part))


def _fit(part: Any) -> None:
    """Put the transform before each converter of the pipelines within a part."""
    for value in part.values() if isinstance(part, dict) else part or ():
        if isinstance(value, (dict, list, tuple)):
            _fit(value)
    if isinstance(part, list):
        for index in reversed(range(len(part))):
            before = part[index - 1] if index else {}
            if _converts(part[index]) and not is_type(before, DROP):
                drop = dict(type=f'mmdistill.{DROP}', keys=['keypoints_3d'])
                part.insert(index, drop)


def _converts(part: Any) -> bool:
    return isinstance(part, dict) and any(is_type(part, name) for name in CONVERTERS)
