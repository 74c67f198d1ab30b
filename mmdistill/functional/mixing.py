"""The index plan of mixed batches: which sample stands in which slot.

Each source is read as an endless stream: one order after another, each holding
every sample once. A batch takes a fixed number of samples from each stream, so
the mix is exact in every batch. Where a stream stands follows from the number of
the batch alone: nothing is stored, and a run continues anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmdistill.functional.permutation import hash_key, permuted


def labeled_slots(batch_size: int, labeled_share: float) -> int:
    """Number of labelled samples in each batch: ``ceil(share * batch_size)``.

    Data Distillation, section 5.2, has a share of 0.6.

    Args:
        batch_size: Samples in a batch of one rank.
        labeled_share: Least share of labelled samples, in (0, 1).

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


def stream_items(positions: np.ndarray, size: int, key: int) -> np.ndarray:
    """Samples at some positions of a source's endless stream.

    Args:
        positions: Positions, at least 0, (P,).
        size: Number of samples of the source, at least 1.
        key: Names the stream.

    Returns:
        Samples in [0, size), (P,); each comes once in every `size` positions
        that start at a multiple of `size`.
    """
    passes, offsets = np.divmod(np.asarray(positions, dtype=np.int64), size)
    items = np.empty_like(offsets)
    for number in np.unique(passes):
        chosen = passes == number
        items[chosen] = permuted(offsets[chosen], size, hash_key(key, int(number)))
    return items


def mixed_batch(
    number: int,
    sizes: Sequence[int],
    slots: Sequence[int],
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> np.ndarray:
    """Samples of one batch of one rank.

    Ranks take turns in the streams, so that together they read what a single
    process with a batch `world_size` times as large would read.

    Args:
        number: Number of the batch on this rank, counted over all epochs.
        sizes: Samples in each source.
        slots: Samples of each source in a batch of one rank.
        seed: Seed of all orders; sources of equal size get different ones.
        rank: This rank.
        world_size: Number of ranks.

    Returns:
        Indices into the concatenation of the sources, (sum of slots,), int64,
        the sources one after the other.
    """
    turn = number * world_size + rank
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return np.concatenate(
        [
            start + stream_items(turn * num + np.arange(num), size, hash_key(seed, i))
            for i, (start, size, num) in enumerate(
                zip(starts, sizes, slots, strict=True)
            )
        ]
    )


def _least_batch(labeled_share: float) -> int:
    """The smallest batch that has a slot for pseudo-labels at this share."""
    return math.ceil(round(1 / (1 - labeled_share), 9))
