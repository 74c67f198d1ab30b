"""Hook that averages the weights over a memory that fits the training's length."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.functional.finish import fitting_momentum
from mmdistill.registry import HOOKS


@HOOKS.register_module()
class FittedEMAHook(EMAHook):
    """MMEngine's `EMAHook` with a momentum that fits the length of the training.

    The length is known once the data are: an epoch is as long as they are. Statistics
    of batch norms are averaged as the weights are; those of the last batches would
    belong to other weights. Checkpoints hold the averages in their `state_dict`, so
    every tool of the host evaluates and loads these.

    Args:
        momentum: The part of a step's weights in the average; None for one that fits,
            see `mmdistill.functional.finish.fitting_momentum`.
        **settings: Those of `EMAHook`.
    """

    def __init__(self, momentum: float | None = None, **settings: Any) -> None:
        super().__init__(**{'update_buffers': True, **settings})
        self.momentum = momentum

    def before_run(self, runner: Runner) -> None:
        """Work out the momentum and make the averaged copy.

        Args:
            runner: The runner of the training stage.
        """
        momentum = self.momentum
        if momentum is None:
            momentum = fitting_momentum(runner.max_iters)
        self.ema_cfg['momentum'] = momentum
        super().before_run(runner)
        print_log(
            f'weights are averaged with momentum {momentum:.3g}, over the last '
            f'{1 / momentum:.0f} of {runner.max_iters} iterations',
            logger='current',
        )
