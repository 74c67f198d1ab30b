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


def grown_schedule(
    config: Config,
    num_labeled: int,
    num_selected: int,
    rule: ScheduleConfig,
) -> Config:
    """The config with a schedule for the labeled and the selected samples.

    The length of the training grows with the samples, up to a cap. Steps of the
    learning rate are put at shares of the new length, other schedules that last
    as long as the training are stretched with it, and warm-ups stay.

    Args:
        config: A training config whose schedule is meant for the labeled set.
        num_labeled: Labeled samples.
        num_selected: Selected pseudo-labels.
        rule: How far it grows at most, and where a `MultiStepLR` steps.

    Raises:
        UserError: If the factor or a milestone is unusable, the config states no
            length, or a scheduler counts other steps than the training.
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
    config.train_cfg[key] = new
    if config.get('param_scheduler'):
        schedulers = _listed(config.param_scheduler)
        config.param_scheduler = _all_grown(schedulers, old, new, steps, by_epoch)
    for hook in config.get('custom_hooks') or []:
        if 'switch_epoch' in hook:
            hook['switch_epoch'] = round(hook['switch_epoch'] * new / old)
    print_log(
        f'schedule: {new} {"epochs" if by_epoch else "iterations"} instead of {old}, '
        f'for {num_selected} pseudo-labels beside {num_labeled} labeled samples '
        f'(iterations × {factor:.3g}, at most × {rule.max_factor:g}); steps of the '
        f'learning rate at {steps}',
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


def _all_grown(
    schedulers: Sequence[Any], old: int, new: int, steps: list[int], by_epoch: bool
) -> list[Any]:
    """The schedulers for a longer training, warm-ups as they are."""
    warm_ups = {
        scheduler.end for scheduler in schedulers if _is_warm_up(scheduler, old)
    }
    grown = []
    for scheduler in schedulers:
        if _is_warm_up(scheduler, old):
            grown.append(scheduler)
            continue
        _check_counting(scheduler, by_epoch)
        grown.append(_grown(scheduler, old, new, warm_ups, steps))
    return grown


def _grown(
    scheduler: Mapping[str, Any],
    old: int,
    new: int,
    warm_ups: set[int],
    steps: list[int],
) -> dict[str, Any]:
    """A scheduler that lasts as long as the training, for a longer one."""
    grown, begin = dict(scheduler), scheduler.get('begin', 0)
    if begin not in warm_ups:
        grown['begin'] = round(begin * new / old)
    if 'milestones' in grown:
        grown['milestones'] = steps
    if 'end' in grown:
        grown['end'] = new
    if 'T_max' in grown:
        grown['T_max'] = new - grown['begin']
    if 'total_steps' in grown:
        grown['total_steps'] = new
    return grown


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


def _is_warm_up(scheduler: Mapping[str, Any], length: int) -> bool:
    return scheduler.get('end', length) != length


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
