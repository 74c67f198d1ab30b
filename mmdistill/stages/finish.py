"""The config of a training with a finish: a last part on labeled samples alone.

A student learns its teacher's systematic errors, while errors of people average out;
so the last word is the labels'. The finish is added to the training: its schedule
before it stays as it is, and then the learning rate falls from a share of its base to
0. A supervised training that a student is compared with gets the same iterations.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.datasets import has_pseudo
from mmdistill.config.finish_options import FinishConfig
from mmdistill.config.mixed_loader import SAMPLER
from mmdistill.config.schema import is_type
from mmdistill.errors import ConfigError
from mmdistill.functional.finish import finish_epochs, finish_iterations
from mmdistill.stages.pipeline_switch import switch_all_sources
from mmdistill.stages.schedule import LAST_EPOCHS, stated_length

FINISH_LR = 'mmdistill.FinishLR'
FINISH_HOOK = 'mmdistill.FinishHook'
FINISH_SAMPLER = 'mmdistill.FinishBatchSampler'
OWN_BATCHES = ('batch_sampler', 'num_batch_per_epoch')
"""Settings of a loader by which a supervised training draws batches of its own."""
SEEDED = 'mmdistill.SeededDataset'
FORMED_BY_END = {
    'Linear': '',
    'Constant': '',
    'Poly': '',
    'CosineAnnealing': 'T_max',
    'OneCycle': 'total_steps',
}
"""Schedulers of MMEngine whose steps follow from their `end`, and the setting by which
some state a length of their own instead."""


def with_finish(config: Config, finish: FinishConfig) -> Config:
    """The config of a training that ends on labeled samples alone.

    The training becomes longer: by a share of its schedule, whole epochs where it
    counts these. Schedulers and hooks keep their places in what was there before. A
    mixed training draws labeled samples alone in the finish; a supervised one goes on.

    Args:
        config: A training config, its schedule grown; of a student or of a supervised
            training.
        finish: How long it is, at which rate, and whether noise stays on.

    Raises:
        UserError: If the config states no length or has several optimizers, or its
            batches cannot be those of a finish.
    """
    check_finish(config, finish)
    config = copy.deepcopy(config)
    key, length = stated_length(config, 'distill.finish')
    by_epoch = key == 'max_epochs'
    added = (finish_epochs if by_epoch else finish_iterations)(length, finish.length)
    config.train_cfg[key] = length + added
    config.param_scheduler = [
        *_ended(config.get('param_scheduler'), length, by_epoch),
        _finish_rate(finish, length, length + added, by_epoch),
    ]
    hooks = [dict(hook) for hook in config.get('custom_hooks') or []]
    for hook in hooks:
        if by_epoch and LAST_EPOCHS in hook:
            hook[LAST_EPOCHS] += added
    begin = dict(begin=length, by_epoch=by_epoch)
    config.custom_hooks = [*hooks, dict(type=FINISH_HOOK, **begin)]
    mixed = _mixes(config.train_dataloader)
    if mixed:
        config.train_dataloader.batch_sampler.update(
            finish_after=length, finish_by_epoch=by_epoch, finish_noise=finish.noise
        )
    elif not finish.noise:
        config.train_dataloader = _clean_loader(
            config.train_dataloader, length, by_epoch
        )
        switch_all_sources(config)
    print_log(
        f'finish: {length} + {added} = {length + added} '
        f'{"epochs" if by_epoch else "iterations"}, the last {added} '
        f'{"on labeled samples alone, " if mixed else ""}with the learning rate from '
        f'{finish.lr:g} of its base to 0 and {"with" if finish.noise else "without"} '
        'noise',
        logger='current',
    )
    return config


def check_finish(config: Config, finish: FinishConfig) -> None:
    """Refuse a training that cannot have a finish, before anything is labeled.

    Args:
        config: A training config.
        finish: The finish.

    Raises:
        UserError: See `with_finish`.
    """
    key, length = stated_length(config, 'distill.finish')
    _check_one_optimizer(config)
    _ended(config.get('param_scheduler'), length, key == 'max_epochs')
    loader = config.train_dataloader
    if _mixes(loader):
        return
    if has_pseudo(loader.dataset):
        batches = loader.get('batch_sampler') or loader.get('sampler') or {}
        raise ConfigError(
            'distill.finish needs batches that can hold labeled samples alone, got '
            f'those of {batches.get("type")}; set train_dataloader.batch_sampler to '
            f"dict(type='mmdistill.{SAMPLER}'), or leave distill.finish out"
        )
    for key in OWN_BATCHES:
        if loader.get(key) is not None and not finish.noise:
            raise ConfigError(
                'distill.finish switches noise off by the number of a batch, which '
                f'does not go with train_dataloader.{key}, got {loader[key]!r}; leave '
                'that out, or set distill.finish.noise=True'
            )


def _mixes(loader: Mapping[str, Any]) -> bool:
    return is_type(loader.get('batch_sampler') or {}, SAMPLER)


def _check_one_optimizer(config: Config) -> None:
    """The rate is that of one optimizer; which of several was meant is not known."""
    schedulers, wrapper = config.get('param_scheduler'), config.get('optim_wrapper')
    names = [
        name
        for name, each in (wrapper or {}).items()
        if isinstance(each, Mapping) and 'optimizer' in each
    ]
    if isinstance(schedulers, Mapping) and 'type' not in schedulers:
        names = names or list(schedulers)
    if names:
        raise ConfigError(
            'distill.finish sets the learning rate of one optimizer, the config has '
            f'those of {", ".join(names)}; leave distill.finish out'
        )


def _finish_rate(
    finish: FinishConfig, begin: int, end: int, by_epoch: bool
) -> dict[str, Any]:
    """The scheduler of the finish."""
    rate = dict(type=FINISH_LR, factor=finish.lr, begin=begin, end=end)
    # A finish may be one epoch: its rate falls within.
    return {**rate, 'by_epoch': by_epoch, 'convert_to_iter_based': by_epoch}


def _ended(schedulers: Any, length: int, by_epoch: bool) -> list[dict[str, Any]]:
    """The schedulers of a training, which end with it though it becomes longer."""
    listed = schedulers if isinstance(schedulers, Sequence) else [schedulers or {}]
    ended = [dict(scheduler) for scheduler in listed if scheduler]
    for scheduler in ended:
        # MMEngine's schedulers count epochs unless they state otherwise.
        if scheduler.get('by_epoch', True) == by_epoch:
            end = scheduler.setdefault('end', length)
            if scheduler.get('begin', 0) < length < end and _may_end_early(scheduler):
                scheduler['end'] = length
        elif by_epoch and 'end' not in scheduler:
            raise ConfigError(
                f'distill.finish: {scheduler["type"]} counts iterations in a training '
                'of epochs and would end with it, which is later now; state its end, '
                'or leave distill.finish out'
            )
    return ended


def _may_end_early(scheduler: Mapping[str, Any]) -> bool:
    """Whether the steps of a scheduler do not depend on where it ends."""
    for kind, own_length in FORMED_BY_END.items():
        if str(scheduler.get('type')).rpartition('.')[2].startswith(kind):
            return own_length in scheduler
    return True


def _clean_loader(
    loader: Mapping[str, Any], begin: int, by_epoch: bool
) -> dict[str, Any]:
    """The loader of a supervised training whose last draws are clean."""
    clean = dict(loader)
    if not is_type(clean['dataset'], 'SeededDataset'):
        clean['dataset'] = dict(type=SEEDED, dataset=clean['dataset'])
    clean['batch_sampler'] = dict(
        type=FINISH_SAMPLER,
        finish_after=begin,
        finish_by_epoch=by_epoch,
        drop_last=clean.pop('drop_last', False),
    )
    return clean
