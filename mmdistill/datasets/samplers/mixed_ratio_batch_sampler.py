"""Batches that hold exactly their share of labeled samples."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmpose.datasets import CombinedDataset

from mmdistill.config.schema import MixingConfig
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.seeded_dataset import SeededDataset, SeededIndex
from mmdistill.errors import ConfigError, DataError
from mmdistill.functional.mixing import (
    draw_seeds,
    labeled_slots,
    mixed_batches,
    reordered,
    source_slots,
)
from mmdistill.registry import DATA_SAMPLERS
from mmdistill.utils.dataset_members import Concatenation

BLOCK = 32
"""Batches that are worked out at once."""


@runtime_checkable
class EpochSampler(Protocol):
    """A sampler that ends, and begins each epoch in another order.

    Attributes:
        epoch: Number of the epoch, from 0.
    """

    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the epoch that is read next."""


@DATA_SAMPLERS.register_module()
class MixedRatioBatchSampler:
    """A batch sampler over labeled and pseudo-labeled sources.

    Every batch on every rank holds ``ceil(labeled_share * batch_size)`` labeled
    samples. Several sources of a kind, as the stores of several piles, are read as
    one, so that each has as many samples as belong to its size; with `source_ratio`
    each source has the same number of slots in every batch instead. Everything is
    read in random order, over and over, every sample once in each pass.

    An epoch is as long as all sources together: ``ceil(samples / (batch_size *
    ranks))`` batches, unless `num_batches` says otherwise; with an `InfiniteSampler`
    in the loader, batches never end. Nothing is stored: set-up takes constant time
    and memory.

    Which samples a batch holds follows from the seed and the number of the batch.
    The loops `mmdistill.ResumableIterLoop` and `mmdistill.ResumableEpochLoop` start
    it where a resumed training stands, and `mmdistill.SeededDataset` draws each
    sample's augmentations from its place in the run. `tools/train.py` puts both in
    place; without them a warning says that a resumed training differs.

    Args:
        sampler: The loader's own sampler, which knows data set, seed, rank and
            epoch; MMEngine's loader builds it, its order is not used.
        batch_size: Samples in a batch of one rank, from the loader.
        labeled_share: Least share of labeled samples; 0.6 in the paper.
        labeled_source: Position of the labeled set among the data set's sources,
            or positions of several. By default those that are no
            `PseudoLabelDataset`, and the first one where none is.
        num_batches: Batches in an epoch.
        source_ratio: Parts of the sources in a batch, as MMPose's
            `MultiSourceSampler` takes them, instead of `labeled_share`; the
            labeled ones are rounded up together, within a kind the largest
            remainders are.

    Raises:
        UserError: If the data set has less than two sources, one of them is empty,
            all or none is labeled, or a source is left without a slot.
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        labeled_share: float = MixingConfig.labeled_share,
        labeled_source: int | Sequence[int] | None = None,
        num_batches: int | None = None,
        source_ratio: Sequence[float] | None = None,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.sizes = _source_sizes(sampler.dataset)
        self.labeled_source = _labeled_sources(labeled_source, sampler.dataset)
        others = sorted(set(range(len(self.sizes))) - set(self.labeled_source))
        self._order = [*self.labeled_source, *others]
        try:
            if source_ratio is None:
                labeled = labeled_slots(batch_size, labeled_share)
                self.slots = [labeled, batch_size - labeled]
                kinds = (self.labeled_source, others)
                self._lengths = [sum(self.sizes[i] for i in kind) for kind in kinds]
            else:
                slots = self._slots_at(source_ratio)
                self.slots = [slots[i] for i in self._order]
                self._lengths = [self.sizes[i] for i in self._order]
                labeled = sum(slots[i] for i in self.labeled_source)
        except ValueError as error:
            raise ConfigError(f'MixedRatioBatchSampler: {error}') from error
        self.num_labeled = labeled
        """Labeled samples in each batch; they are its first ones."""
        # Those of MMEngine have all three; one of torch for a single process has none.
        self.world_size = getattr(sampler, 'world_size', 1)
        self.rank = getattr(sampler, 'rank', 0)
        self.seed = getattr(sampler, 'seed', None) or 0
        together = batch_size * self.world_size
        self.num_batches = num_batches or -(-sum(self.sizes) // together)
        self._skipped = 0
        self._endless = not isinstance(sampler, EpochSampler)
        self._placed = self._told = False
        _check_weights(sampler.dataset)

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        self._log_missing()
        numbers = iter(self._numbers())
        # Some batches at once cost hardly more than one.
        while taken := [*itertools.islice(numbers, BLOCK)]:
            block = np.array(taken)
            turns = block * self.world_size + self.rank
            seeds = draw_seeds(turns, self.batch_size, self.seed)
            indices = mixed_batches(
                block, self._lengths, self.slots, self.seed, self.rank, self.world_size
            )
            indices = reordered(indices, self.sizes, self._order)
            for batch in zip(indices.tolist(), seeds.tolist(), strict=True):
                yield [*map(SeededIndex, *batch)]

    def start_at(
        self, batches: int, seed: int | None = None, endless: bool = False
    ) -> None:
        """Leave out what a training that is continued has seen.

        Args:
            batches: Batches to leave out, of the epoch that is read next, or of all
                when `endless`.
            seed: Seed of the run, when it is another than the sampler's.
            endless: Never end; epochs follow on each other in the same order.
        """
        self._skipped = batches
        self._endless = endless or not isinstance(self.sampler, EpochSampler)
        self._placed = True
        if seed is not None:
            self.seed = seed

    def set_epoch(self, epoch: int) -> None:
        """Start from the first batch of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self.sampler.set_epoch(epoch)

    def _numbers(self) -> Iterable[int]:
        """Numbers of the batches to come."""
        if self._endless:
            return itertools.count(self._skipped)
        first = self.sampler.epoch * self.num_batches
        return range(first + self._skipped, first + self.num_batches)

    def _log_missing(self) -> None:
        """Say once that a resumed training would differ, and why."""
        reasons = []
        if not self._placed:
            reasons.append('the training loop is not one of mmdistill')
        if not isinstance(self.sampler.dataset, SeededDataset):
            reasons.append('the data set is not in a mmdistill.SeededDataset')
        if reasons and not self._told:
            print_log(
                f'{" and ".join(reasons)}: after --resume this training would not see '
                'exactly the samples of one that was never stopped; '
                'tools/train.py of mmdistill puts in place what it takes',
                logger='current',
                level=logging.WARNING,
            )
        self._told = True

    def _slots_at(self, source_ratio: Sequence[float]) -> list[int]:
        if len(source_ratio) != len(self.sizes):
            raise ConfigError(
                f'source_ratio needs a part for each of the {len(self.sizes)} sources, '
                f'got {list(source_ratio)}'
            )
        return source_slots(self.batch_size, source_ratio, self.labeled_source)


def _check_weights(dataset: Any) -> None:
    """Weights reach the loss behind the codec, which belongs to the wrapper here."""
    weighted = any(
        isinstance(source, PseudoLabelDataset) and source.pseudo_weight != 1
        for source in dataset.datasets
    )
    packs_itself = isinstance(dataset, BaseDataset)
    if packs_itself and weighted and not isinstance(dataset, SeededDataset):
        raise ConfigError(
            f'pseudo_weight in a {type(dataset).__name__} needs '
            "dict(type='mmdistill.SeededDataset', dataset=...) around it, got none"
        )


def _labeled_sources(given: int | Sequence[int] | None, dataset: Any) -> list[int]:
    """Positions of the labeled sources, in ascending order."""
    sources = dataset.datasets
    if given is None:
        labeled = [
            i
            for i, source in enumerate(sources)
            if not isinstance(source, PseudoLabelDataset)
        ]
        return labeled if 0 < len(labeled) < len(sources) else [0]
    labeled = sorted({given} if isinstance(given, int) else set(given))
    if not set(labeled) <= set(range(len(sources))):
        raise ConfigError(
            f'labeled_source must lie between 0 and {len(sources) - 1}, got {given}'
        )
    if not 0 < len(labeled) < len(sources):
        raise ConfigError(
            'labeled_source must name some of the sources and not all of '
            f'{len(sources)}, got {given}'
        )
    return labeled


def _source_sizes(dataset: Any) -> list[int]:
    """Lengths of the data sets that a wrapper concatenates."""
    sources = dataset.datasets if isinstance(dataset, Concatenation) else None
    if sources is None or len(sources) < 2:
        number = 'one' if sources is None else len(sources)
        raise ConfigError(
            'MixedRatioBatchSampler mixes two sources or more, the labeled set and '
            'the pseudo-labels, in a ConcatDataset or CombinedDataset; got '
            f'{type(dataset).__name__} with {number}'
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
