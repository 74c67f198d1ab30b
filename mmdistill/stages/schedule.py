"""The config of a student whose schedule grows with its data.

How long a student trains: the schedule grows with the data.

In Data Distillation a student sees more images than its teacher, so it trains longer
(COCO keypoints: 130,000 iterations supervised, 360,000 distilled), and its learning
rate drops after 70 % and 90 % of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from mmdistill.config.schema import ScheduleConfig
from mmdistill.errors import ConfigError
from mmdistill.functional.schedule_parts import Stretch, stretch_parts

WARM_UPS = ('Linear', 'Constant', 'QuadraticWarmup')
"""Schedulers of MMEngine and MMPose that warm up where they end early."""
LAST_EPOCHS = 'num_last_epochs'
"""Setting by which hooks of MMDetection and MMPose count epochs from the end."""
MANY_PARTS = 3
"""Number of boundaries above which a schedule is described by its parts."""


def grown_schedule(
    config: Config,
    num_labeled: int,
    num_selected: int,
    rule: ScheduleConfig,
) -> Config:
    """The config with a schedule for the labeled and the selected samples.

    The length of the training grows with the samples, up to a cap. Steps of the
    learning rate are put at shares of the new length, other schedules that last
    as long as the training are stretched with it, part by part where several follow
    each other, and warm-ups and last epochs keep their length.

    Args:
        config: A training config whose schedule is meant for the labeled set.
        num_labeled: Labeled samples.
        num_selected: Selected pseudo-labels.
        rule: How far it grows at most, and where a `MultiStepLR` steps.

    Raises:
        UserError: If the factor or a milestone is unusable, the config states no
            length, a scheduler counts other steps than the training, or its parts do
            not fit into a shorter one.
    """
    config = copy.deepcopy(config)
    key, old = stated_length(config, 'distill.schedule')
    by_epoch = key == 'max_epochs'
    try:
        factor = growth(num_labeled, num_selected, rule.max_factor)
        data_factor = (num_labeled + num_selected) / num_labeled
        new = (
            grown_epochs(old, factor, data_factor)
            if by_epoch
            else grown_iterations(old, factor)
        )
        steps = milestones_at(rule.milestones, new)
    except ValueError as error:
        raise ConfigError(f'distill.schedule: {error}') from error
    schedulers = _listed(config.get('param_scheduler') or [])
    stretch = _stretch(schedulers, _last_epochs(config, by_epoch), old, new, by_epoch)
    config.train_cfg[key] = new
    if schedulers:
        grow = [_grows(each, schedulers, old, by_epoch) for each in schedulers]
        config.param_scheduler = [
            _grown(each, stretch, steps) if grows else each
            for each, grows in zip(schedulers, grow, strict=True)
        ]
    _move_switches(config, stretch, by_epoch)
    parts = ''
    if len(stretch.after) > MANY_PARTS:
        parts = f', its parts end at {list(stretch.after[1:])}'
    print_log(
        f'schedule: {new} {"epochs" if by_epoch else "iterations"} instead of {old}, '
        f'for {num_selected} pseudo-labels beside {num_labeled} labeled samples '
        f'(iterations × {factor:.3g}, at most × {rule.max_factor:g}); steps of the '
        f'learning rate at {steps}{parts}',
        logger='current',
    )
    return config


def stated_length(config: Config, setting: str) -> tuple[str, int]:
    """Return the setting by which a training states its length, and the length.

    Args:
        config: A training config.
        setting: The setting of `distill` that needs it, for the error.

    Raises:
        ConfigError: If there is none.
    """
    key = 'max_iters' if 'max_iters' in config.train_cfg else 'max_epochs'
    length = config.train_cfg.get(key)
    if not isinstance(length, int):
        raise ConfigError(
            f'{setting} needs train_cfg.max_iters or train_cfg.max_epochs, '
            f'got {dict(config.train_cfg)}'
        )
    return key, length


def _stretch(
    schedulers: Sequence[Mapping[str, Any]],
    last: int,
    old: int,
    new: int,
    by_epoch: bool,
) -> Stretch:
    """The map of a training's steps to those of a longer one.

    A warm-up keeps its length, and so do the last epochs that a hook counts from the
    end.
    """
    boundaries, fixed = {old}, [(old - last, old)] if 0 < last < old else []
    for scheduler in schedulers:
        if scheduler.get('by_epoch', True) != by_epoch:
            continue
        span = (scheduler.get('begin', 0), scheduler.get('end', old))
        if _warms_up(scheduler, old):
            fixed += [span] if span[1] < old else []
        elif _grows(scheduler, schedulers, old, by_epoch):
            boundaries.update(step for step in span if step < old)
    try:
        return stretch_parts(boundaries, new, fixed)
    except ValueError as error:
        raise ConfigError(
            f'distill.schedule: the training cannot be made one of {new} instead of '
            f'{old}: {error}; raise distill.schedule.max_factor, or set '
            'distill.schedule to None'
        ) from error


def _last_epochs(config: Config, by_epoch: bool) -> int:
    """Number of last epochs that a hook switches something in; 0 without."""
    hooks = config.get('custom_hooks') or []
    return max((hook.get(LAST_EPOCHS, 0) for hook in hooks if by_epoch), default=0)


def _grown(
    scheduler: Mapping[str, Any], stretch: Stretch, steps: list[int]
) -> dict[str, Any]:
    """A scheduler for a longer training."""
    old = stretch.before[-1]
    begin, end = scheduler.get('begin', 0), scheduler.get('end', old)
    grown = {**scheduler, 'begin': stretch(begin)}
    factor = (stretch(end) - grown['begin']) / (end - begin)
    if 'milestones' in grown:
        inner = [stretch(step) for step in grown['milestones']]
        grown['milestones'] = steps if end == old else inner
    if 'end' in grown:
        grown['end'] = stretch(end)
    for length in ('T_max', 'total_steps'):
        if length in grown:
            grown[length] = max(round(grown[length] * factor), 1)
    return grown


def _move_switches(config: Config, stretch: Stretch, by_epoch: bool) -> None:
    """Move what a config switches at an epoch."""
    dynamic = config.train_cfg.get('dynamic_intervals')
    if dynamic:
        config.train_cfg['dynamic_intervals'] = [
            (stretch(step), interval) for step, interval in dynamic
        ]
    for hook in config.get('custom_hooks') or []:
        if 'switch_epoch' in hook:
            share = stretch.after[-1] / stretch.before[-1]
            hook['switch_epoch'] = round(hook['switch_epoch'] * share)
        if by_epoch and 'epoch_attributes' in hook:
            hook['epoch_attributes'] = {
                stretch(epoch): values
                for epoch, values in hook['epoch_attributes'].items()
            }


def _check_counting(scheduler: Mapping[str, Any], by_epoch: bool) -> None:
    """Refuse a scheduler that counts epochs beside iterations, or the reverse."""
    # MMEngine's schedulers count epochs unless they state otherwise.
    counts_epochs = scheduler.get('by_epoch', True)
    if counts_epochs != by_epoch:
        raise ConfigError(
            'distill.schedule needs schedulers that count what the training counts, '
            f'by_epoch={by_epoch}: {scheduler["type"]} has by_epoch={counts_epochs}; '
            'state it, or set distill.schedule to None'
        )


def _grows(
    scheduler: Mapping[str, Any],
    schedulers: Sequence[Mapping[str, Any]],
    length: int,
    by_epoch: bool,
) -> bool:
    """Whether a scheduler is a part of the whole training, and no warm-up.

    One that ends before the training is such a part where another one follows it.

    Raises:
        UserError: If it is, and counts other steps than the training.
    """
    end = scheduler.get('end', length)
    if _warms_up(scheduler, length):
        return False
    if end != length and not any(each.get('begin', 0) >= end for each in schedulers):
        return False
    _check_counting(scheduler, by_epoch)
    return True


def _warms_up(scheduler: Mapping[str, Any], length: int) -> bool:
    name = str(scheduler.get('type')).rpartition('.')[2]
    begins = scheduler.get('begin', 0) == 0 and scheduler.get('end', length) != length
    return begins and name.startswith(WARM_UPS)


def _listed(schedulers: Any) -> list[Any]:
    if isinstance(schedulers, Mapping) and 'type' not in schedulers:
        raise ConfigError(
            'distill.schedule lengthens the schedulers of one optimizer, '
            f'param_scheduler has those of {", ".join(schedulers)}; set '
            'distill.schedule to None'
        )
    return list(schedulers) if isinstance(schedulers, (list, tuple)) else [schedulers]


def growth(num_labeled: int, num_selected: int, max_factor: float) -> float:
    """Factor by which the data grow, and with them the iterations.

    Args:
        num_labeled: Labeled samples, at least 1.
        num_selected: Pseudo-labeled samples.
        max_factor: The factor is not above this; at least 1.

    Raises:
        ValueError: If `max_factor` is below 1.
    """
    if not max_factor >= 1:
        raise ValueError(f'max_factor must be at least 1, got {max_factor}')
    return min((num_labeled + num_selected) / num_labeled, max_factor)


def grown_iterations(iterations: int, factor: float) -> int:
    """Iterations of a student, where its teacher's config states iterations.

    Args:
        iterations: Iterations on the labeled set alone.
        factor: Factor by which they grow.
    """
    return round(iterations * factor)


def grown_epochs(epochs: int, factor: float, data_factor: float) -> int:
    """Epochs of a student, where its teacher's config states epochs.

    An epoch of the student goes over both sets, so it grows by itself: without a
    cap the number of epochs stays.

    Args:
        epochs: Epochs over the labeled set alone.
        factor: Factor by which the iterations shall grow.
        data_factor: Factor by which an epoch grows.
    """
    return max(1, round(epochs * factor / data_factor))


def milestones_at(shares: Sequence[float], length: int) -> list[int]:
    """Milestones at which the learning rate drops.

    Args:
        shares: Shares of the schedule, ascending, in (0, 1).
        length: Length of the schedule, iterations or epochs.

    Raises:
        ValueError: If the shares are not ascending in (0, 1).
    """
    inside = all(0 < share < 1 for share in shares)
    if not inside or list(shares) != sorted(set(shares)):
        raise ValueError(
            f'milestones must be ascending shares between 0 and 1, got {list(shares)}'
        )
    return [round(share * length) for share in shares]
