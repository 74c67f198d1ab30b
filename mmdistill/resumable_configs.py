"""A student's training that can be stopped and resumed, and what its log tells."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config_types import is_type
from mmdistill.datasets.seeded_dataset import last_pipelines
from mmdistill.errors import UserError
from mmdistill.initial_weights import initial_weights

LOG_HOOK = 'mmdistill.StudentLogHook'


def resumable_config(config: Config) -> Config:
    """The config of a training that can be stopped and resumed exactly.

    The host's loops make way for those that know where a resumed training stands,
    the data set is wrapped so that each sample depends on its draw alone, and loss
    and accuracy of both kinds of samples are logged. What the config states itself
    stays. A config without a `MixedRatioBatchSampler` stays as it is.

    Args:
        config: A training config.

    Raises:
        UserError: If the model can not train with the `pseudo_weight` given.
    """
    loader = config.get('train_dataloader') or {}
    batches = loader.get('batch_sampler') or {}
    if not is_type(batches, 'MixedRatioBatchSampler'):
        return config
    config = copy.deepcopy(config)
    _check_weights(config)
    loop, loader = config.train_cfg, config.train_dataloader
    by_epoch = loop.get('by_epoch', True)
    if is_type(loop, 'EpochBasedTrainLoop') or ('type' not in loop and by_epoch):
        loop.type = 'mmdistill.ResumableEpochLoop'
    elif is_type(loop, 'IterBasedTrainLoop') or 'type' not in loop:
        loop.type = 'mmdistill.ResumableIterLoop'
    loop.pop('by_epoch', None)
    if not is_type(loader.dataset, 'SeededDataset'):
        loader.dataset = dict(type='mmdistill.SeededDataset', dataset=loader.dataset)
    _state_last_step(loader.dataset)
    hooks = config.get('custom_hooks') or []
    if not any(is_type(hook, 'StudentLogHook') for hook in hooks):
        config.custom_hooks = [*hooks, dict(type=LOG_HOOK)]
    return config


def _state_last_step(dataset: Any) -> None:
    """Give a `SeededDataset` the pipeline that MMPose's `browse_dataset.py` sets."""
    if 'pipeline' not in dataset:
        for owner in last_pipelines(dataset['dataset']):
            dataset['pipeline'] = [dict(type=owner['pipeline'][-1]['type'])]
            return


def tell_start(config: Config) -> None:
    """Say in the log which weights the student starts from.

    The paper's student starts from the backbone's own pretrained weights. Another
    start is chosen by `load_from`, as in any config of MMPose.

    Args:
        config: A config with a `distill` section.
    """
    checkpoint = config.get('load_from')
    teacher = config.distill.teacher.get('checkpoint')
    weights = initial_weights(Config(dict(model=config.get('model'))))
    pretrained = [each.checkpoint for each in weights]
    level = logging.INFO
    if config.get('resume'):
        text = 'the student continues where its own training stood, if it has begun'
    elif checkpoint and _same_file(checkpoint, teacher):
        text = f'the student starts from the teacher {checkpoint}, not as in the paper'
    elif checkpoint:
        text = f'the student starts from {checkpoint}'
    elif pretrained:
        text = f'the student starts from pretrained weights: {", ".join(pretrained)}'
    else:
        level = logging.WARNING
        text = 'the student starts from random weights: no init_cfg names a checkpoint'
    print_log(text, logger='current', level=level)


def _check_weights(config: Config) -> None:
    """Visibility heads take the weights of keypoints for labels."""
    weights = {
        source.get('pseudo_weight', 1)
        for source in _dicts(config.train_dataloader.dataset)
        if is_type(source, 'PseudoLabelDataset')
    }
    if weights <= {1}:
        return
    head = (config.get('model') or {}).get('head') or {}
    losses = [*_dicts(head.get('loss'))]
    if any(is_type(part, 'VisPredictHead') for part in _dicts(head)):
        raise UserError(
            'VisPredictHead learns the keypoint weights as visibilities: '
            f'pseudo_weight must be 1, got {max(weights - {1})}'
        )
    if losses and not any(part.get('use_target_weight') for part in losses):
        raise UserError(
            f'pseudo_weight {max(weights - {1})} would do nothing: the loss '
            f'{losses[0].get("type")} needs use_target_weight=True'
        )


def _dicts(value: Any) -> Iterator[Any]:
    """All dicts within a config, from the outside in."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _dicts(each)


def _same_file(one: str, other: str | None) -> bool:
    if other is None or '://' in one or '://' in other:
        return one == other
    return Path(one).resolve() == Path(other).resolve()
