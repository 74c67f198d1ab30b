"""Training batches with an exact share of labeled samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from mmpose.datasets import CombinedDataset

from mmdistill.config.schema import MixingConfig
from mmdistill.datasets.pseudo_sources import pseudo_of
from mmdistill.datasets.seeded_dataset import (
    SeededDataset,
    SeededIndex,
    check_weights_carried,
)
from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.mixing import (
    balanced_slots,
    draw_seeds,
    finishing_batches,
    labeled_slots,
    mixed_batches,
    reordered,
    source_slots,
)
from mmdistill.registry import DATA_SAMPLERS
from mmdistill.utils.dataset_members import Concatenation
from mmdistill.utils.logging import warn

BLOCK = 32
"""Number of batches computed at once."""


@runtime_checkable
class EpochSampler(Protocol):
    """A sampler that ends, and begins each epoch in another order.

    Attributes:
        epoch: Number of the epoch, from 0.
    """

    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch that is read next.

        Args:
            epoch: The number, from 0.
        """


@DATA_SAMPLERS.register_module()
class MixedRatioBatchSampler:
    """Batch sampler that mixes labeled and pseudo-labeled sources.

    Every batch on every rank holds ``ceil(labeled_share * batch_size)`` labeled
    samples; without a stated share it follows from the sizes of both kinds. Several
    sources of a kind, as the stores of several unlabeled sets, are concatenated, so
    that each is sampled in proportion to its size; with `source_ratio` each source has
    the same number of slots in every batch instead.
    Sources are read in random order, pass after pass, every sample once in each pass.

    An epoch is as long as all sources together: ``ceil(samples / (batch_size *
    ranks))`` batches, unless `num_batches` says otherwise; with an `InfiniteSampler`
    in the loader, batches never end. Orders are computed on the fly: set-up takes
    constant time and memory.

    The samples of a batch depend only on the seed and the number of the batch. The
    loops `mmdistill.ResumableIterLoop` and `mmdistill.ResumableEpochLoop` start at the
    first batch after a checkpoint, and `mmdistill.SeededDataset` seeds each sample's
    augmentations by its position in the run. `tools/train.py` configures both; without
    them a warning says that a resumed training differs.

    With `finish_after` the last batches of a training hold labeled samples alone. These
    are read on in the order in which they come anyway, and it is the number of the
    batch that decides: neither what workers have read ahead nor a restart changes it.

    Args:
        sampler: The loader's own sampler, which holds data set, seed, rank and epoch;
            MMEngine's loader builds it, its order is not used.
        batch_size: Samples in a batch of one rank, from the loader.
        labeled_share: Minimum share of labeled samples, 0.6 in the paper; that of
            `balanced_share` if None.
        labeled_source: Position of the labeled set among the data set's sources,
            or positions of several. By default those that are no
            `PseudoLabelDataset`, or the first one if none is.
        num_batches: Batches in an epoch.
        source_ratio: Relative sizes of the sources in a batch, as in MMPose's
            `MultiSourceSampler`, instead of `labeled_share`; the sum of the labeled
            ones is rounded up, within a kind the largest remainders are.
        finish_after: Batches of this process before those of labeled samples alone,
            counted from the first of the training; None for none of those.
        finish_by_epoch: Whether `finish_after` counts epochs.
        finish_noise: Whether the student's noise stays on in those batches; else their
            draws are clean, see `SeededIndex`.

    Raises:
        UserError: If the data set has less than two sources, one of them is empty,
            all or none is labeled, a source has no slot, or `finish_after` is not a
            number of batches.
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        labeled_share: float | None = MixingConfig.labeled_share,
        labeled_source: int | Sequence[int] | None = None,
        num_batches: int | None = None,
        source_ratio: Sequence[float] | None = None,
        finish_after: int | None = None,
        finish_by_epoch: bool = False,
        finish_noise: bool = False,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.sizes = _source_sizes(sampler.dataset)
        self.labeled_source = _labeled_sources(labeled_source, sampler.dataset)
        others = sorted(set(range(len(self.sizes))) - set(self.labeled_source))
        self._order = [*self.labeled_source, *others]
        try:
            if source_ratio is None:
                kinds = (self.labeled_source, others)
                self._lengths = [sum(self.sizes[i] for i in kind) for kind in kinds]
                labeled = (
                    balanced_slots(batch_size, *self._lengths)
                    if labeled_share is None
                    else labeled_slots(batch_size, labeled_share)
                )
                self.slots = [labeled, batch_size - labeled]
                self._finish_slots = [batch_size, 0]
            else:
                slots = self._slots_at(source_ratio)
                self.slots = [slots[i] for i in self._order]
                self._finish_slots = self._finish_slots_at(source_ratio)
                self._lengths = [self.sizes[i] for i in self._order]
                labeled = sum(slots[i] for i in self.labeled_source)
        except ValueError as error:
            raise ConfigError(f'MixedRatioBatchSampler: {error}') from error
        self.is_balanced = source_ratio is None and labeled_share is None
        """Whether the share follows from the sizes of both kinds."""
        self.num_labeled = labeled
        """Labeled samples in each batch before the finish; they come first."""
        # Samplers of MMEngine have these three by convention, those of torch none.
        self.world_size = getattr(sampler, 'world_size', 1)
        self.rank = getattr(sampler, 'rank', 0)
        self.seed = getattr(sampler, 'seed', None) or 0
        together = batch_size * self.world_size
        self.num_batches = num_batches or -(-sum(self.sizes) // together)
        self.first_finishing = finish_start(
            finish_after, self.num_batches if finish_by_epoch else 1
        )
        """Number of the first batch of labeled samples alone; None without."""
        self._clean_finish = not finish_noise
        self._skipped = 0
        self._endless = not isinstance(sampler, EpochSampler)
        self._positioned = self._warned = False
        check_weights_carried(sampler.dataset)

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        self._warn_if_not_resumable()
        numbers = iter(self._numbers())
        # Several batches cost hardly more than one.
        while taken := [*itertools.islice(numbers, BLOCK)]:
            block = np.array(taken)
            turns = block * self.world_size + self.rank
            seeds = draw_seeds(turns, self.batch_size, self.seed)
            indices = reordered(self._indices(block), self.sizes, self._order)
            draws = zip(taken, indices.tolist(), seeds.tolist(), strict=True)
            for number, batch, batch_seeds in draws:
                clean = self._clean_finish and self.is_finishing(number)
                yield [
                    SeededIndex(index, draw_seed, clean)
                    for index, draw_seed in zip(batch, batch_seeds, strict=True)
                ]

    def is_finishing(self, number: int) -> bool:
        """Whether a batch holds labeled samples alone.

        Args:
            number: Number of the batch on this rank, counted over all epochs: that of
                the iteration.
        """
        return self.first_finishing is not None and number >= self.first_finishing

    def num_labeled_in(self, number: int) -> int:
        """Return the number of labeled samples in a batch; they come first.

        Args:
            number: Number of the batch, as of `is_finishing`.
        """
        return self.batch_size if self.is_finishing(number) else self.num_labeled

    def start_at(
        self, batches: int, seed: int | None = None, endless: bool = False
    ) -> None:
        """Skip the batches that a resumed training has seen.

        Args:
            batches: Number of batches to skip, in the next epoch, or in total if
                `endless`.
            seed: Seed of the run, if it is not the sampler's.
            endless: Whether batches never end; epochs follow in the same order.
        """
        self._skipped = batches
        self._endless = endless or not isinstance(self.sampler, EpochSampler)
        self._positioned = True
        if seed is not None:
            self.seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Select the epoch of the next iteration.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self.sampler.set_epoch(epoch)

    def _indices(self, block: np.ndarray) -> np.ndarray:
        """Samples of the batches of these numbers, in the order of the streams."""
        ranks = (self.seed, self.rank, self.world_size)
        if self.first_finishing is None:
            return mixed_batches(block, self._lengths, self.slots, *ranks)
        slots = (self.slots, self._finish_slots)
        first = self.first_finishing
        return finishing_batches(block, first, self._lengths, slots, *ranks)

    def _numbers(self) -> Iterable[int]:
        """Numbers of the remaining batches."""
        if self._endless:
            return itertools.count(self._skipped)
        first = self.sampler.epoch * self.num_batches
        return range(first + self._skipped, first + self.num_batches)

    def _warn_if_not_resumable(self) -> None:
        """Warn once that a resumed training would differ, and why."""
        reasons = []
        if not self._positioned:
            reasons.append('the training loop is not one of mmdistill')
        if not isinstance(self.sampler.dataset, SeededDataset):
            reasons.append('the data set is not in a mmdistill.SeededDataset')
        if reasons and not self._warned:
            warn(
                f'{" and ".join(reasons)}: after --resume this training would not see '
                'exactly the samples of one that was never stopped; '
                'tools/train.py of mmdistill configures both'
            )
        self._warned = True

    def _slots_at(self, source_ratio: Sequence[float]) -> list[int]:
        if len(source_ratio) != len(self.sizes):
            raise ConfigError(
                f'source_ratio needs a number for each of the {len(self.sizes)} '
                f'sources, got {list(source_ratio)}'
            )
        return source_slots(self.batch_size, source_ratio, self.labeled_source)

    def _finish_slots_at(self, source_ratio: Sequence[float]) -> list[int]:
        """Slots of each stream in the finish, in which the labeled ones have all."""
        ratio = [source_ratio[i] for i in self.labeled_source]
        slots = source_slots(self.batch_size, ratio, range(len(ratio)))
        return [*slots, *[0] * (len(self.sizes) - len(ratio))]


def finish_start(finish_after: int | None, unit: int = 1) -> int | None:
    """Return the number of the first batch of a finish.

    Args:
        finish_after: What comes before it, as a sampler's config states it; None for
            no finish.
        unit: Batches in what it counts.

    Raises:
        ConfigError: If it is not a whole number of at least 0.
    """
    if finish_after is None:
        return None
    if not isinstance(finish_after, int) or finish_after < 0:
        raise ConfigError(
            'finish_after must be a whole number of batches or epochs, got '
            f'{finish_after!r}'
        )
    return finish_after * unit


def _labeled_sources(
    labeled_source: int | Sequence[int] | None, dataset: Any
) -> list[int]:
    """Positions of the labeled sources, in ascending order."""
    sources = dataset.datasets
    if labeled_source is None:
        labeled = [i for i, each in enumerate(sources) if pseudo_of(each) is None]
        return labeled if 0 < len(labeled) < len(sources) else [0]
    labeled = sorted(
        {labeled_source} if isinstance(labeled_source, int) else set(labeled_source)
    )
    if not set(labeled) <= set(range(len(sources))):
        raise ConfigError(
            f'labeled_source must lie between 0 and {len(sources) - 1}, got '
            f'{labeled_source}'
        )
    if not 0 < len(labeled) < len(sources):
        raise ConfigError(
            'labeled_source must name some of the sources and not all of '
            f'{len(sources)}, got {labeled_source}'
        )
    return labeled


def _source_sizes(dataset: Any) -> list[int]:
    """Sizes of the data sets that a wrapper concatenates."""
    sources = dataset.datasets if isinstance(dataset, Concatenation) else None
    if sources is None or len(sources) < 2:
        num_sources = 'one' if sources is None else len(sources)
        raise ConfigError(
            'MixedRatioBatchSampler mixes two sources or more, the labeled set and '
            'the pseudo-labels, in a ConcatDataset or CombinedDataset; got '
            f'{type(dataset).__name__} with {num_sources}'
        )
    sizes = [len(source) for source in sources]
    for source, size in zip(sources, sizes, strict=True):
        if size == 0:
            raise DataError(
                f'MixedRatioBatchSampler cannot mix an empty source: '
                f'{type(source).__name__} has 0 samples'
            )
    lengths = dataset.lens if isinstance(dataset, CombinedDataset) else sizes
    if sum(sizes) != len(dataset) or lengths != sizes:
        raise ConfigError(
            f'MixedRatioBatchSampler needs the sources one after the other: they '
            f'have {sizes} samples, {type(dataset).__name__} has {len(dataset)}'
        )
    return sizes
