"""The index plan of mixed batches: which sample stands in which slot.

Sources are read as endless streams: one order after another, each holding every
sample once. A batch takes a fixed number of samples from each stream, so the mix is
exact in every batch. Where a stream stands follows from the number of
the batch alone: nothing is stored, and a run continues anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmdistill.functional.permutation import hash_key, hash_keys, permuted

_DRAWS = 1 << 40
"""Names the keys of draws, beside those of the streams, which are counted from 0."""
_LOW_HALF = np.uint64((1 << 32) - 1)


def labeled_slots(batch_size: int, labeled_share: float) -> int:
    """Number of labeled samples in each batch: ``ceil(share * batch_size)``.

    Data Distillation, section 5.2, has a share of 0.6.

    Args:
        batch_size: Samples in a batch of one rank.
        labeled_share: Least share of labeled samples, in (0, 1).

    Raises:
        ValueError: If the share is outside (0, 1), or leaves either kind of
            sample without a slot.
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
            f'the batch size must be at least {_least_batch(labeled_share)}'
        )
    return slots


def source_slots(
    batch_size: int, ratio: Sequence[float], labeled: Sequence[int]
) -> list[int]:
    """Slots of each source in every batch, as near to a ratio as whole slots are.

    The labeled sources together have ``ceil(their share * batch_size)`` slots.
    Within a kind, labeled or not, what is left after rounding down goes to the
    largest remainders, and every source has one slot at least.

    Args:
        batch_size: Samples in a batch of one rank.
        ratio: Parts of the sources, above 0; they need not sum to 1.
        labeled: Positions of the labeled sources.

    Returns:
        Slots of each source; their sum is `batch_size`.

    Raises:
        ValueError: If a part is not a positive number, or either kind has fewer
            slots than sources.
    """
    parts = np.asarray(ratio, dtype=np.float64)
    if not (np.isfinite(parts).all() and (parts > 0).all()):
        raise ValueError(f'source_ratio must be positive numbers, got {list(ratio)}')
    kinds = np.isin(np.arange(len(parts)), labeled)
    share = parts[kinds].sum() / parts.sum()
    of_labeled = math.ceil(round(share * batch_size, 9))
    slots = np.empty(len(parts), dtype=np.int64)
    for kind, total in ((kinds, of_labeled), (~kinds, batch_size - of_labeled)):
        if total < kind.sum():
            raise ValueError(
                f'source_ratio {list(ratio)} leaves {total} of {batch_size} slots for '
                f'the {kind.sum()} sources {np.flatnonzero(kind).tolist()}; every '
                'source needs one at least'
            )
        slots[kind] = _apportioned(total, parts[kind])
    return slots.tolist()


def _apportioned(total: int, parts: np.ndarray) -> np.ndarray:
    """Whole numbers that sum to `total`, by largest remainder, none below 1."""
    if len(parts) == 0:
        return np.empty(0, dtype=np.int64)
    quotas = np.round(total * parts / parts.sum(), 9)
    slots = np.floor(quotas).astype(np.int64)
    # Rounded anew: remainders that are equal shall be equal numbers.
    lacking = np.round(quotas - slots, 6)
    rest = np.argsort(-lacking, kind='stable')[: total - slots.sum()]
    slots[rest] += 1
    for i in np.flatnonzero(slots == 0):
        slots[np.argmax(slots)] -= 1
        slots[i] = 1
    return slots


def stream_items(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """Samples at some positions of a source's endless stream.

    Args:
        positions: Positions, at least 0, any shape.
        size: Number of samples of the source, at least 1.
        key: Names the stream.

    Returns:
        Samples in [0, size), the shape of `positions`; each comes once in every
        `size` positions that start at a multiple of `size`.
    """
    passes, offsets = np.divmod(np.asarray(positions, dtype=np.int64), size)
    items = np.empty_like(offsets)
    for number in np.unique(passes):
        chosen = passes == number
        items[chosen] = permuted(offsets[chosen], size, hash_key(key, int(number)))
    return items


def mixed_batches(
    numbers: np.ndarray,
    sizes: Sequence[int],
    slots: Sequence[int],
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> np.ndarray:
    """Samples of some batches of one rank.

    Ranks take turns in the streams, so that together they read what a single
    process with a batch `world_size` times as large would read.

    Args:
        numbers: Numbers of the batches on this rank, counted over all epochs, (P,).
        sizes: Samples in each source.
        slots: Samples of each source in a batch of one rank.
        seed: Seed of all orders; sources of equal size get different ones.
        rank: This rank.
        world_size: Number of ranks.

    Returns:
        Indices into the concatenation of the sources, (P, sum of slots), int64,
        in each batch the sources one after the other.
    """
    turns = np.asarray(numbers, dtype=np.int64)[:, None] * world_size + rank
    starts = np.cumsum([0, *sizes[:-1]])
    return np.concatenate(
        [
            start + stream_items(turns * num + np.arange(num), size, hash_key(seed, i))
            for i, (start, size, num) in enumerate(
                zip(starts, sizes, slots, strict=True)
            )
        ],
        axis=1,
    )


def reordered(
    indices: np.ndarray, sizes: Sequence[int], order: Sequence[int]
) -> np.ndarray:
    """Indices into sources as they stand, of indices into them in another order.

    Args:
        indices: Indices into the sources one after the other in `order`, (P,).
        sizes: Samples in each source, as they stand.
        order: Positions of the sources, each once.

    Returns:
        Indices of the same samples into the sources as they stand, (P,), int64.
    """
    lengths, sources = np.asarray(sizes, np.int64), np.asarray(order, np.int64)
    starts = (np.cumsum(lengths) - lengths)[sources]
    ends = np.cumsum(lengths[sources])
    place = np.searchsorted(ends, indices, side='right')
    return indices - (ends - lengths[sources])[place] + starts[place]


def draw_seeds(numbers: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """Seeds of all that is random about the samples of batches, one for each.

    Args:
        numbers: Numbers of the batches over all ranks and epochs, (P,).
        batch_size: Samples in a batch of one rank.
        seed: Seed of the run.

    Returns:
        Seeds below 2**32, as NumPy takes them, (P, batch_size), int64. No two draws
        of a run have the same key; the seeds are the low halves of the keys.
    """
    draws = np.asarray(numbers)[:, None] * batch_size + np.arange(batch_size)
    return (hash_keys(hash_key(seed, _DRAWS), draws) & _LOW_HALF).astype(np.int64)


def _least_batch(labeled_share: float) -> int:
    """The smallest batch that has a slot for pseudo-labels at this share."""
    return math.ceil(round(1 / (1 - labeled_share), 9))
