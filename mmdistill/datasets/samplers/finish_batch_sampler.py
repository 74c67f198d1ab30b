"""Batches of a supervised training whose last part, the finish, is drawn clean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler

from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    EpochSampler,
    finish_start,
)
from mmdistill.datasets.seeded_dataset import SeededDataset, SeededIndex
from mmdistill.errors import ConfigError
from mmdistill.functional.mixing import draw_seeds
from mmdistill.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class FinishBatchSampler(BatchSampler):
    """Batches in the loader's own order, whose last draws are clean.

    For a training on labels alone that is compared with a student's: its batches are
    those of torch's `BatchSampler`, so until the finish the training is what it would
    be without one. From then on draws are seeded and clean, see `SeededIndex`; it is
    the number of the batch that decides, whatever workers have read ahead.

    Args:
        sampler: The loader's own sampler, which decides the order.
        batch_size: Samples in a batch of one rank, from the loader.
        finish_after: Batches of this process before the finish.
        finish_by_epoch: Whether `finish_after` counts epochs.
        drop_last: Whether the last batch of an epoch is left out where it is not full.

    Raises:
        UserError: If `finish_after` is not a number of batches, or the data set is not
            a `SeededDataset`, which clean draws need.
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        finish_after: int,
        finish_by_epoch: bool = False,
        drop_last: bool = False,
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        kind = type(sampler.dataset)
        if not issubclass(kind, SeededDataset):
            raise ConfigError(
                "FinishBatchSampler needs dict(type='mmdistill.SeededDataset', "
                f'dataset=...) around the data set, got {kind.__name__}'
            )
        unit = len(self) if finish_by_epoch else 1
        self.first_finishing = finish_start(finish_after, unit) or 0
        """Number of the first batch whose draws are clean."""
        # Samplers of MMEngine have these three by convention, those of torch none.
        self.world_size = getattr(sampler, 'world_size', 1)
        self.rank = getattr(sampler, 'rank', 0)
        self.seed = getattr(sampler, 'seed', None) or 0

    def __iter__(self) -> Iterator[list[int]]:
        # A sampler that ends is iterated once an epoch, any other once a training.
        sampler = self.sampler
        epoch = sampler.epoch if isinstance(sampler, EpochSampler) else 0
        numbers = itertools.count(epoch * len(self))
        for number, batch in zip(numbers, super().__iter__(), strict=False):
            finishing = number >= self.first_finishing
            yield self._clean(number, batch) if finishing else batch

    def _clean(self, number: int, batch: list[int]) -> list[int]:
        """The clean draws of a batch."""
        turn = np.array([number * self.world_size + self.rank])
        seeds = draw_seeds(turn, self.batch_size, self.seed)[0].tolist()
        return [SeededIndex(*draw, True) for draw in zip(batch, seeds, strict=False)]
