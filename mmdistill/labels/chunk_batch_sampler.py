"""Batches of images that never span two chunks of a label store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class ChunkBatchSampler:
    """Numbers of images, batch by batch, chunk by chunk.

    Because batches start anew with each chunk, what the network sees together
    does not depend on which process labels which chunk.

    Args:
        chunks: The chunks to go through, in this order.
        chunk_size: Images in a chunk.
        num_images: Images in all chunks of the store.
        batch_size: Most images in a batch.
    """

    def __init__(
        self, chunks: Sequence[int], chunk_size: int, num_images: int, batch_size: int
    ) -> None:
        self._batches = [
            list(range(start, min(start + batch_size, end)))
            for chunk in chunks
            for end in [min((chunk + 1) * chunk_size, num_images)]
            for start in range(chunk * chunk_size, end, batch_size)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)
