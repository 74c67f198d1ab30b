"""Index plan of mixed batches: the sample in each slot of each batch.

Sources are read as endless streams: one order after another, each holding every
sample once. A batch takes a fixed number of samples from each stream, so the mix is
exact in every batch (Data Distillation, section 5.2). The position in a stream follows
from the number of the batch alone: no state is stored, and a run resumes anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmdistill.functional.permutation import hash_key, hash_keys, permuted

_DRAWS = 1 << 40
"""Key of the seeds of draws; those of the streams are counted from 0."""
_LOW_HALF = np.uint64((1 << 32) - 1)
"""Mask of the lower 32 bits."""


def labeled_slots(batch_size: int, labeled_share: float) -> int:
    """Compute the number of labeled samples in a batch: ``ceil(share * batch_size)``.

    Data Distillation, section 5.2, has a share of 0.6.

    Args:
        batch_size: Samples in a batch of one rank.
        labeled_share: Minimum share of labeled samples, in (0, 1).

    Raises:
        ValueError: If the share is outside (0, 1), or leaves either kind of
            sample without a slot.

    >>> labeled_slots(8, 0.6)
    5
    """
    if not 0 < labeled_share < 1:
        raise ValueError(
            f'labeled_share must lie between 0 and 1, both excluded, '
            f'got {labeled_share}'
        )
    # 0.6 * 5 is 3.0000000000000004 in floating point; that is 3 slots, not 4.
    slots = math.ceil(round(labeled_share * batch_size, 9))
    if slots >= batch_size:
        raise ValueError(
            f'labeled_share {labeled_share} of a batch of {batch_size} takes '
            f'{slots} slots and leaves none for pseudo-labels; '
            f'the batch size must be at least {_smallest_batch(labeled_share)}'
        )
    return slots


PAPER_SHARE = 0.6
"""Share of labeled samples in the paper, whose sets are about equally large."""
LABEL_WORTH = 10
"""Pseudo-labels that a label counts as where it must share a batch with many."""


def balanced_share(num_labeled: int, num_pseudo: int) -> float:
    """Compute the share of labeled samples from the sizes of both sets.

    It is that of Data Distillation, section 5.2, where there are at most 6.7 times as
    many pseudo-labels as labels. Where there are more, a labeled sample comes 10 times
    as often as a pseudo-label: a fixed share would show few labels until they are
    known by heart, one in proportion would lose them among the others. On Leeds Sports
    Pose Extended, of the shares that were tried, 0.6 was best with 600 labels (11 times
    as often) and 0.3 with 200 (9 times as often).

    Args:
        num_labeled: Labeled samples, at least 1.
        num_pseudo: Pseudo-labeled samples, at least 1.

    Returns:
        The share, in (0, 0.6].

    >>> [round(balanced_share(n, 4000), 3) for n in (4000, 1000, 200, 40000)]
    [0.6, 0.6, 0.333, 0.6]
    """
    odds = LABEL_WORTH * num_labeled / num_pseudo
    return min(odds / (1 + odds), PAPER_SHARE)


def balanced_slots(batch_size: int, num_labeled: int, num_pseudo: int) -> int:
    """Compute the number of labeled samples in a batch from the sizes of both sets.

    Args:
        batch_size: Samples in a batch of one rank, at least 2.
        num_labeled: Labeled samples, at least 1.
        num_pseudo: Pseudo-labeled samples, at least 1.

    Returns:
        ``ceil(share * batch_size)`` with the share of `balanced_share`, and at most
        ``batch_size - 1``, so that both kinds have a slot.

    Raises:
        ValueError: If the batch has no room for both kinds.

    >>> balanced_slots(32, num_labeled=200, num_pseudo=4200)
    11
    """
    if batch_size < 2:
        raise ValueError(
            'labeled samples and pseudo-labels need a batch size of at least 2, got '
            f'{batch_size}'
        )
    share = balanced_share(num_labeled, num_pseudo)
    return min(math.ceil(round(share * batch_size, 9)), batch_size - 1)


def source_slots(
    batch_size: int, ratio: Sequence[float], labeled: Sequence[int]
) -> list[int]:
    """Apportion the slots of a batch to sources, as near to a ratio as whole slots are.

    The labeled sources together have ``ceil(their share * batch_size)`` slots.
    Within a kind, labeled or not, the slots left after rounding down go to the
    largest remainders, and every source has at least one slot.

    Args:
        batch_size: Samples in a batch of one rank.
        ratio: Relative shares of the sources, above 0; they need not sum to 1.
        labeled: Positions of the labeled sources.

    Returns:
        Slots of each source; their sum is `batch_size`.

    Raises:
        ValueError: If a share is not a positive number, or either kind has fewer
            slots than sources.

    >>> source_slots(8, ratio=[6, 3, 1], labeled=[0])
    [5, 2, 1]
    """
    shares = np.asarray(ratio, dtype=np.float64)
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        raise ValueError(f'source_ratio must be positive numbers, got {list(ratio)}')
    is_labeled = np.isin(np.arange(len(shares)), labeled)
    labeled_share = shares[is_labeled].sum() / shares.sum()
    num_labeled = math.ceil(round(labeled_share * batch_size, 9))
    totals = ((is_labeled, num_labeled), (~is_labeled, batch_size - num_labeled))
    slots = np.empty(len(shares), dtype=np.int64)
    for kind, total in totals:
        if total < kind.sum():
            raise ValueError(
                f'source_ratio {list(ratio)} leaves {total} of {batch_size} slots for '
                f'the {kind.sum()} sources {np.flatnonzero(kind).tolist()}; every '
                'source needs at least one'
            )
        slots[kind] = _apportioned(total, shares[kind])
    return slots.tolist()


def _apportioned(total: int, shares: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to `total`, by largest remainder, none below 1."""
    if len(shares) == 0:
        return np.empty(0, dtype=np.int64)
    quotas = np.round(total * shares / shares.sum(), 9)
    slots = np.floor(quotas).astype(np.int64)
    # Rounded again, so that equal remainders are equal numbers.
    remainders = np.round(quotas - slots, 6)
    largest = np.argsort(-remainders, kind='stable')[: total - slots.sum()]
    slots[largest] += 1
    for i in np.flatnonzero(slots == 0):
        slots[np.argmax(slots)] -= 1
        slots[i] = 1
    return slots


def stream_items(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """Look up the samples at some positions of a source's endless stream.

    Args:
        positions: Positions, at least 0, (...).
        size: Number of samples of the source, at least 1.
        key: Key of the stream.

    Returns:
        Samples in [0, size), the shape of `positions`; each comes once in every
        `size` positions that start at a multiple of `size`.

    >>> items = stream_items(np.arange(6), size=3, key=0).tolist()
    >>> sorted(items[:3]), sorted(items[3:])
    ([0, 1, 2], [0, 1, 2])
    """
    passes, offsets = np.divmod(np.asarray(positions, dtype=np.int64), size)
    items = np.empty_like(offsets)
    for number in np.unique(passes):
        in_pass = passes == number
        items[in_pass] = permuted(offsets[in_pass], size, hash_key(key, int(number)))
    return items


def mixed_batches(
    numbers: np.ndarray,
    sizes: Sequence[int],
    slots: Sequence[int],
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    read: Sequence[int] | None = None,
) -> np.ndarray:
    """Look up the samples of some batches of one rank.

    Ranks take turns in the streams, so that together they read what a single
    process with a batch `world_size` times as large would read.

    Args:
        numbers: Numbers of the batches on this rank, counted over all epochs, (P,).
        sizes: Samples in each source.
        slots: Samples of each source in a batch of one rank, 0 for none.
        seed: Seed of all orders; sources of equal size get different ones.
        rank: This rank.
        world_size: Number of ranks.
        read: Samples of each source that all ranks read before the batch of number 0.

    Returns:
        Indices into the concatenation of the sources, (P, sum of slots), int64,
        in each batch the sources one after the other.

    >>> batches = mixed_batches(np.arange(2), sizes=[4, 4], slots=[2, 1], seed=0)
    >>> batches.shape, sorted(batches[:, :2].ravel().tolist())
    ((2, 3), [0, 1, 2, 3])
    >>> (batches[:, 2] >= 4).all().item()
    True
    """
    turns = np.asarray(numbers, dtype=np.int64)[:, None] * world_size + rank
    starts = np.cumsum([0, *sizes[:-1]])
    firsts = [0] * len(sizes) if read is None else read
    positions = [
        first + turns * num + np.arange(num)
        for first, num in zip(firsts, slots, strict=True)
    ]
    return np.concatenate(
        [
            start + stream_items(places, size, hash_key(seed, i))
            for i, (start, size, places) in enumerate(
                zip(starts, sizes, positions, strict=True)
            )
        ],
        axis=1,
    )


def finishing_batches(
    numbers: np.ndarray,
    first: int,
    sizes: Sequence[int],
    slots: Sequence[Sequence[int]],
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> np.ndarray:
    """Look up the samples of some batches of one rank, whose slots change once.

    From the batch of number `first` on, the slots are others; each source is read on
    where the batch before stopped, so that no sample comes twice in a pass.

    Args:
        numbers: Numbers of the batches on this rank, counted over all epochs, (P,).
        first: Number of the first batch with the other slots.
        sizes: Samples in each source.
        slots: Samples of each source in a batch of one rank, before and from `first`
            on; both have the same sum.
        seed: Seed of all orders.
        rank: This rank.
        world_size: Number of ranks.

    Returns:
        Indices into the concatenation of the sources, (P, sum of slots), int64.

    >>> slots = [2, 1], [3, 0]
    >>> batches = finishing_batches(np.arange(3), 2, [7, 4], slots, seed=0)
    >>> sorted([*batches[:2, :2].ravel().tolist(), *batches[2].tolist()])
    [0, 1, 2, 3, 4, 5, 6]
    """
    numbers = np.asarray(numbers, dtype=np.int64)
    before, after = slots
    later = numbers >= first
    indices = np.empty((len(numbers), sum(before)), dtype=np.int64)
    ranks = (seed, rank, world_size)
    indices[~later] = mixed_batches(numbers[~later], sizes, before, *ranks)
    read = [first * world_size * num for num in before]
    indices[later] = mixed_batches(numbers[later] - first, sizes, after, *ranks, read)
    return indices


def reordered(
    indices: np.ndarray, sizes: Sequence[int], order: Sequence[int]
) -> np.ndarray:
    """Convert indices into reordered sources to indices into the original ones.

    Args:
        indices: Indices into the sources one after the other in `order`, (P,).
        sizes: Samples in each source, in the original order.
        order: Positions of the sources in the new order, each once.

    Returns:
        Indices of the same samples in the original order, (P,), int64.

    >>> reordered(np.array([0, 1, 2]), sizes=[1, 2], order=[1, 0]).tolist()
    [1, 2, 0]
    """
    lengths, sources = np.asarray(sizes, np.int64), np.asarray(order, np.int64)
    starts = (np.cumsum(lengths) - lengths)[sources]
    ends = np.cumsum(lengths[sources])
    position = np.searchsorted(ends, indices, side='right')
    return indices - (ends - lengths[sources])[position] + starts[position]


def draw_seeds(numbers: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """Compute the seed of the random transforms of each sample of some batches.

    Args:
        numbers: Numbers of the batches over all ranks and epochs, (P,).
        batch_size: Samples in a batch of one rank.
        seed: Seed of the run.

    Returns:
        Seeds below 2**32, as NumPy takes them, (P, batch_size), int64. No two draws
        of a run have the same key; the seeds are the low halves of the keys.

    >>> seeds = draw_seeds(np.arange(2), batch_size=3, seed=0)
    >>> seeds.shape, len(np.unique(seeds))
    ((2, 3), 6)
    """
    draws = np.asarray(numbers)[:, None] * batch_size + np.arange(batch_size)
    return (hash_keys(hash_key(seed, _DRAWS), draws) & _LOW_HALF).astype(np.int64)


def _smallest_batch(labeled_share: float) -> int:
    """Smallest batch that has a slot for pseudo-labels at this share."""
    return math.ceil(round(1 / (1 - labeled_share), 9))
