"""Training loops that resume at the exact batch without reading the earlier ones.

MMEngine's loops restart a resumed epoch, or read all data up to the iteration of the
checkpoint. `MixedRatioBatchSampler` can draw the batch of any number, so these loops
set the number instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mmdistill.datasets.samplers.mixed_ratio_batch_sampler import (
    EpochSampler,
    MixedRatioBatchSampler,
)
from mmdistill.errors import ConfigError
from mmdistill.registry import LOOPS
from mmdistill.utils.logging import warn


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """Iteration-based loop that resumes without reading earlier batches."""

    @property
    def dataloader(self) -> Any:
        """Loader whose workers start when training starts."""
        return self._lazy_loader

    @dataloader.setter
    def dataloader(self, loader: DataLoader) -> None:
        self._lazy_loader = LazyLoader(loader)

    def run(self) -> Any:
        """Train from the current iteration of the runner.

        Raises:
            UserError: If the batches are not those of a `MixedRatioBatchSampler`.
        """
        batches = _batch_sampler(self.dataloader)
        batches.start_at(self._iter, _common_seed(self.runner), endless=True)
        # MMEngine skips as many batches as were trained; these are placeholders.
        skipped = itertools.repeat(None, self._iter)
        self.dataloader_iterator: Any = itertools.chain(skipped, iter(self.dataloader))
        return super().run()


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """Epoch-based loop that resumes in the middle of an epoch."""

    def run(self) -> Any:
        """Train from the current iteration of the runner.

        Raises:
            UserError: If the batches are not those of a `MixedRatioBatchSampler`, or
                its epochs never end.
        """
        if not isinstance(_batch_sampler(self.dataloader).sampler, EpochSampler):
            raise ConfigError(
                'epochs need a sampler that ends, as DefaultSampler, got '
                f'{type(self.dataloader.batch_sampler.sampler).__name__}'
            )
        self._common_seed = _common_seed(self.runner)
        return super().run()

    def run_epoch(self) -> None:
        """Train the rest of an epoch.

        Raises:
            ConfigError: If the batches are not those of a `MixedRatioBatchSampler`.
        """
        length = len(self.dataloader)
        self._offset = self._iter - self._epoch * length
        if not 0 <= self._offset <= length:
            warn(
                f'epoch {self._epoch} starts anew: the training is at iteration '
                f'{self._iter}, which is outside it at {length} iterations an epoch; '
                'data, batch size or number of processes must have changed'
            )
            self._offset = 0
        batches = _batch_sampler(self.dataloader)
        batches.start_at(self._offset, self._common_seed)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Train on one batch.

        Args:
            idx: Number of the batch among those read in this epoch.
            data_batch: The batch.
        """
        super().run_iter(self._offset + idx, data_batch)


class LazyLoader:
    """Data loader whose workers start with the first requested batch.

    Args:
        loader: The wrapped loader; its attributes are available here.
    """

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> Any:
        if name == 'loader':
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        yield from self.loader


def _batch_sampler(loader: Any) -> MixedRatioBatchSampler:
    batches = loader.batch_sampler
    if not isinstance(batches, MixedRatioBatchSampler):
        raise ConfigError(
            'a resumable loop needs train_dataloader.batch_sampler='
            "dict(type='mmdistill.MixedRatioBatchSampler'), got "
            f'{type(batches).__name__}'
        )
    return batches


def _common_seed(runner: Runner) -> int:
    """Return the seed of the run on every rank: that of the checkpoint after a resume.

    The loader was built before the checkpoint was read, so it has another one.
    """
    seeds = [runner.seed]
    broadcast_object_list(seeds)
    return int(seeds[0])
