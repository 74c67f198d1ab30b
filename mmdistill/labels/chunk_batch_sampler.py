"""Batches of images that never span two chunks of a label store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmdistill.labels.generations import Place


class ChunkBatchSampler:
    """Numbers of images, batch by batch, chunk by chunk.

    Because batches start anew with each chunk, what the network sees together
    does not depend on which process labels which chunk.

    Args:
        places: The chunks to go through, in this order.
        order: For each image of the store its number in the data set, (I,).
        batch_size: Most images in a batch.
    """

    def __init__(
        self, places: Sequence[Place], order: np.ndarray, batch_size: int
    ) -> None:
        self._order = order
        self._spans = [
            slice(start, min(start + batch_size, place.stop))
            for place in places
            for start in range(place.start, place.stop, batch_size)
        ]

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[list[int]]:
        return (self._order[span].tolist() for span in self._spans)
