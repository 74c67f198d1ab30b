"""Hook that logs where the finish of a training begins, and keeps its rate."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.engine.finish_lr import FinishLR
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class FinishHook(Hook):
    """Log the beginning of the finish, and keep the rate that its `FinishLR` sets.

    Schedulers that count epochs step after those that count iterations, so their
    changes are undone. A training that ended without a finish may be resumed with one:
    its checkpoint knows no `FinishLR`, which is moved to where the training is.

    Args:
        begin: The first iteration, from 0.
        by_epoch: Whether `begin` counts epochs.
    """

    def __init__(self, begin: int, by_epoch: bool = False) -> None:
        self.begin = begin
        self.by_epoch = by_epoch
        self._logged = False

    def before_train(self, runner: Runner) -> None:
        """Move the schedulers of the finish to the iteration that comes next.

        Args:
            runner: The runner of the training stage.
        """
        for scheduler in _finish_rates(runner):
            scheduler.start_at(runner.epoch if scheduler.by_epoch else runner.iter)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Keep the rate, and log once that the finish begins or goes on.

        Args:
            runner: The runner.
            batch_idx: Number of the batch in its epoch.
            data_batch: The batch.
        """
        position = runner.epoch if self.by_epoch else runner.iter
        if position < self.begin:
            return
        for scheduler in _finish_rates(runner):
            scheduler.restore()
        if self._logged:
            return
        self._logged = True
        rates = runner.optim_wrapper.get_lr()['lr']
        print_log(
            f'the finish {"begins" if position == self.begin else "goes on"} at '
            f'iteration {runner.iter} of {runner.max_iters}: labeled samples alone, '
            f'learning rate {max(rates):.3g} falling to 0',
            logger='current',
        )


def _finish_rates(runner: Runner) -> list[FinishLR]:
    schedulers = runner.param_schedulers
    listed = schedulers if isinstance(schedulers, list) else []
    return [each for each in listed if isinstance(each, FinishLR)]
