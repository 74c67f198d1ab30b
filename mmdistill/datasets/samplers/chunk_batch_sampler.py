"""Batches of images that never span two chunks of a label store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from mmdistill.store.generations import ChunkSpan


class ChunkBatchSampler:
    """Numbers of images, batch by batch, chunk by chunk.

    Because batches start anew with each chunk, what the network sees together
    does not depend on which process labels which chunk.

    A loader deals its batches to its workers by turns. With as many lanes as
    workers, each of that many chunks is read by one worker alone, from its first
    image to its last: frames of a video are then decoded once.

    Args:
        places: The chunks to go through, in this order.
        order: For each image of the store its number in the data set, (I,).
        batch_size: Most images in a batch.
        lanes: Chunks that are gone through side by side.

    Attributes:
        chunks: Position among `places` of each batch's chunk.
    """

    def __init__(
        self,
        places: Sequence[ChunkSpan],
        order: np.ndarray,
        batch_size: int,
        lanes: int = 1,
    ) -> None:
        self._order = order
        spans: list[tuple[int, slice]] = []
        for first in range(0, len(places), lanes):
            group = range(first, min(first + lanes, len(places)))
            parts = [_parts(number, places[number], batch_size) for number in group]
            for side_by_side in zip_longest(*parts):
                spans += [span for span in side_by_side if span]
        self.chunks = [number for number, _ in spans]
        self._spans = [span for _, span in spans]

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[list[int]]:
        return (self._order[span].tolist() for span in self._spans)


def _parts(number: int, place: ChunkSpan, batch_size: int) -> list[tuple[int, slice]]:
    """The batches of a chunk, each with the chunk's number."""
    return [
        (number, slice(start, min(start + batch_size, place.stop)))
        for start in range(place.start, place.stop, batch_size)
    ]
