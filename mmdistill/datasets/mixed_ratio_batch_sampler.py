"""Batches that hold exactly their share of labelled samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from mmdistill.errors import UserError
from mmdistill.functional.mixing import labeled_slots, mixed_batch
from mmdistill.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class MixedRatioBatchSampler:
    """A batch sampler over a labelled and a pseudo-labelled source.

    Every batch on every rank holds ``ceil(labeled_share * batch_size)`` labelled
    samples. Each source is read in its own random order, over and over, every
    sample once in each pass. An epoch is as long as the two sources together:
    ``ceil(samples / (batch_size * ranks))`` batches, unless `num_batches` says
    otherwise; with an `InfiniteSampler` in the loader, batches never end. Nothing
    is stored: set-up takes constant time and memory.

    Args:
        sampler: The loader's own sampler, which knows data set, seed, rank and
            epoch; MMEngine's loader builds it, its order is not used.
        batch_size: Samples in a batch of one rank, from the loader.
        labeled_share: Least share of labelled samples; 0.6 in the paper.
        labeled_source: Position of the labelled set among the data set's sources.
        num_batches: Batches in an epoch.

    Raises:
        UserError: If the data set has not two sources, one of them is empty, or
            the share leaves one without a slot.
    """

    def __init__(
        self,
        sampler: Any,
        batch_size: int,
        labeled_share: float = 0.6,
        labeled_source: int = 0,
        num_batches: int | None = None,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.sizes = _source_sizes(sampler.dataset)
        if labeled_source not in (0, 1):
            raise UserError(f'labeled_source must be 0 or 1, got {labeled_source}')
        try:
            labeled = labeled_slots(batch_size, labeled_share)
        except ValueError as error:
            raise UserError(f'MixedRatioBatchSampler: {error}') from error
        self.num_labeled = labeled
        self.labeled_source = labeled_source
        self.slots = (labeled, batch_size - labeled)
        if labeled_source == 1:
            self.slots = self.slots[::-1]
        self.world_size = getattr(sampler, 'world_size', 1)
        self.rank = getattr(sampler, 'rank', 0)
        self.seed = getattr(sampler, 'seed', None) or 0
        together = batch_size * self.world_size
        self.num_batches = num_batches or -(-sum(self.sizes) // together)

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[list[int]]:
        for number in self._numbers():
            yield mixed_batch(
                number, self.sizes, self.slots, self.seed, self.rank, self.world_size
            ).tolist()

    def _numbers(self) -> Iterable[int]:
        """Numbers of the batches to come."""
        if not hasattr(self.sampler, 'epoch'):
            # A sampler without epochs, as InfiniteSampler, never ends.
            return itertools.count()
        first = self.sampler.epoch * self.num_batches
        return range(first, first + self.num_batches)

    def set_epoch(self, epoch: int) -> None:
        """Start from the first batch of an epoch.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self.sampler.set_epoch(epoch)


def _source_sizes(dataset: Any) -> list[int]:
    """Lengths of the two data sets that a wrapper concatenates."""
    sources = getattr(dataset, 'datasets', None)
    if sources is None or len(sources) != 2:
        found = 'one' if sources is None else len(sources)
        raise UserError(
            'MixedRatioBatchSampler mixes two sources, the labelled set and the '
            'pseudo-labels, in a ConcatDataset or CombinedDataset; got '
            f'{type(dataset).__name__} with {found}'
        )
    sizes = [len(source) for source in sources]
    for source, size in zip(sources, sizes, strict=True):
        if size == 0:
            raise UserError(
                f'MixedRatioBatchSampler can not mix an empty source: '
                f'{type(source).__name__} has 0 samples'
            )
    if sum(sizes) != len(dataset):
        raise UserError(
            f'MixedRatioBatchSampler needs the sources one after the other: they '
            f'have {sum(sizes)} samples, {type(dataset).__name__} has {len(dataset)}'
        )
    return sizes
