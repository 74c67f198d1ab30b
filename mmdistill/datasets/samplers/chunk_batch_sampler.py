"""Batches of images that never span two chunks of a label store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np

from mmdistill.store.generations import ChunkSpan


class ChunkBatchSampler:
    """Batch sampler over image numbers, chunk by chunk.

    Every chunk starts a new batch, so that the batches do not depend on which process
    labels which chunk.

    A loader distributes batches to its workers in turn. With as many lanes as workers,
    each chunk is read by one worker, from its first image to its last: frames of a
    video are then decoded once.

    Args:
        chunk_spans: The chunks, in order of sampling.
        order: For each image of the store its number in the data set, (I,).
        batch_size: Maximum number of images in a batch.
        lanes: Number of chunks that are interleaved.

    Attributes:
        chunks: Index among `chunk_spans` of each batch's chunk.
    """

    def __init__(
        self,
        chunk_spans: Sequence[ChunkSpan],
        order: np.ndarray,
        batch_size: int,
        lanes: int = 1,
    ) -> None:
        self._order = order
        spans: list[tuple[int, slice]] = []
        for first in range(0, len(chunk_spans), lanes):
            group = range(first, min(first + lanes, len(chunk_spans)))
            lane_spans = [
                _batch_spans(number, chunk_spans[number], batch_size)
                for number in group
            ]
            for interleaved in zip_longest(*lane_spans):
                spans += [span for span in interleaved if span]
        self.chunks = [number for number, _ in spans]
        self._spans = [span for _, span in spans]

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[list[int]]:
        return (self._order[span].tolist() for span in self._spans)


def _batch_spans(
    number: int, chunk_span: ChunkSpan, batch_size: int
) -> list[tuple[int, slice]]:
    """Spans of the batches of a chunk, each with the chunk's number."""
    return [
        (number, slice(start, min(start + batch_size, chunk_span.stop)))
        for start in range(chunk_span.start, chunk_span.stop, batch_size)
    ]
