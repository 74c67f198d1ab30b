"""The learning rate of a finish: from a share of its base to 0, by half a cosine."""

from __future__ import annotations

from typing import Any

from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler

from mmdistill.functional.finish import finish_factor
from mmdistill.registry import PARAM_SCHEDULERS

SETTINGS = ('begin', 'end', 'factor')
"""What a resumed training takes from its config and not from its checkpoint."""


@PARAM_SCHEDULERS.register_module()
class FinishLR(_ParamScheduler):
    """Learning rate of the last part of a training.

    From step `begin` on the rate of each parameter group is its base rate times
    ``factor * (1 + cos(pi * t / T)) / 2``, t steps after `begin` of T = end - begin.
    MMEngine's schedulers change the rate that they find; this one sets it, whatever
    others did before, so it stands last among them. The base is the rate that the
    optimizer's settings give to the group (`initial_lr`), multipliers of single layers
    included; of a `OneCycleLR`, which starts from a part of it, the highest (`max_lr`).
    A training that is resumed with another finish follows the new one.

    Args:
        optimizer: Optimizer, or MMEngine's wrapper of one.
        factor: Factor of the base rate in the first step, above 0.
        begin: The first step.
        end: The step after the last one.
        last_step: Step before the first one, as MMEngine's schedulers take it.
        by_epoch: Whether steps are epochs.
        verbose: Whether each rate is logged.
    """

    _global_step: int

    def __init__(
        self,
        optimizer: Any,
        factor: float,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.factor = factor
        super().__init__(optimizer, 'lr', begin, end, last_step, by_epoch, verbose)

    @classmethod
    def build_iter_from_epoch(
        cls,
        optimizer: Any,
        factor: float,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        epoch_length: int = 1,
        last_step: int = -1,
        verbose: bool = False,
    ) -> FinishLR:
        """Build one that counts iterations from settings in epochs, as MMEngine does.

        Args:
            optimizer: The optimizer.
            factor: Factor of the base rate in the first step.
            begin: The first epoch.
            end: The epoch after the last one.
            by_epoch: True.
            epoch_length: Iterations of an epoch.
            last_step: Iteration before the first one.
            verbose: Whether each rate is logged.
        """
        first, last = begin * epoch_length, end
        if end != INF:
            last = end * epoch_length
        return cls(optimizer, factor, first, last, last_step, False, verbose)

    def state_dict(self) -> dict[str, Any]:
        """Return the counted steps, without the settings."""
        state = super().state_dict()
        return {key: value for key, value in state.items() if key not in SETTINGS}

    def start_at(self, step: int) -> None:
        """Move on to a step, as if all before it had been done.

        A finish may be added to a training that has ended: its checkpoint then knows
        nothing of this scheduler.

        Args:
            step: Number of the step that comes next.
        """
        if self._global_step != step:
            self._global_step = step - 1
            self.last_step = max(step - 1 - self.begin, -1)
            self.step()

    def restore(self) -> None:
        """Set the rates of this step again, which others may have changed since."""
        if self.begin <= self._global_step < self.end:
            groups = self.optimizer.param_groups
            for group, value in zip(groups, self._get_value(), strict=True):
                group['lr'] = value

    def _get_value(self) -> list[float]:
        """Rates of the parameter groups in this step."""
        step, length = self._global_step - self.begin, self.end - self.begin
        factor = finish_factor(step, length, self.factor)
        groups = self.optimizer.param_groups
        return [
            group.get('max_lr', base) * factor
            for base, group in zip(self.base_values, groups, strict=True)
        ]
