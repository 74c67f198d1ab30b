"""Samples of a batch as a worker of the loader sends them: pixels in one block.

A worker sends each tensor through shared memory of its own, which takes as long as
decoding the image. So the images of a batch are copied into one block, and the process
that takes them gives out views of it. An image keeps its order in memory: to put its
channels into planes takes time, and crops are cut where they lie side by side.

The system fills new shared memory with zeros page by page, which takes longer than to
copy images into it. So a block that was read is filled again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

IMAGE = 'inputs'
"""Entry of a sample that holds its pixels."""


class SharedBlocks:
    """Blocks of shared memory that a process fills again after others have read them.

    The last byte of a block, shared as the rest is, says whether it is in use.
    """

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []

    def take(self, size: int) -> Tensor:
        """Return a block that nobody uses; it is in use until it is released.

        Args:
            size: Number of bytes that it holds, at least.

        Returns:
            The bytes, more than `size`, uint8.
        """
        free = [block for block in self._blocks if not block[-1]]
        block = next((block for block in free if len(block) > size), None)
        if block is None:
            # What is free is too small; batches to come may be as large as this one.
            self._blocks = [block for block in self._blocks if block[-1]]
            block = shared_block(size + 1)
            self._blocks.append(block)
        block[-1] = 1
        return block


def release(block: Tensor) -> None:
    """Let the process that a block came from fill it again.

    Args:
        block: A block of `SharedBlocks`, which nobody reads any more.
    """
    block[-1] = 0


class SentSamples:
    """Samples with their images in one block of shared memory.

    Args:
        samples: Dicts, whose `inputs` go into the block where they are a tensor of
            bytes, of any shape.
        blocks: Blocks of the process, of which one is taken; `release` gives it back.
    """

    def __init__(
        self, samples: Sequence[Mapping[str, Any]], blocks: SharedBlocks
    ) -> None:
        self._samples = [dict(sample) for sample in samples]
        self._packed = [s for s in self._samples if _is_image(s.get(IMAGE))]
        images = [sample.pop(IMAGE) for sample in self._packed]
        self._layouts = [_layout_of(image) for image in images]
        self._block = blocks.take(sum(image.numel() for image in images))
        for part, image in zip(self._parts(), images, strict=True):
            part.copy_(image)

    def pin_memory(self) -> SentSamples:
        """Move the block to pinned memory; the loader calls it with `pin_memory`."""
        shared, self._block = self._block, self._block.pin_memory()
        release(shared)
        return self

    def release(self) -> None:
        """Give the block back, which ends the life of the samples' images."""
        release(self._block)

    def unpacked(self) -> list[dict[str, Any]]:
        """Return the samples; their images are views of the block."""
        for sample, part in zip(self._packed, self._parts(), strict=True):
            sample[IMAGE] = part
        return self._samples

    def _parts(self) -> list[Tensor]:
        sizes = [shape.numel() for shape, _ in self._layouts]
        flat = self._block[: sum(sizes)].split(sizes)
        pairs = zip(flat, self._layouts, strict=True)
        return [part.as_strided(*layout) for part, layout in pairs]


def _layout_of(image: Tensor) -> tuple[torch.Size, tuple[int, ...]]:
    """Shape and strides of a copy without gaps, in the order of the image itself."""
    return image.shape, torch.empty_like(image, device='meta').stride()


def _is_image(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8


def shared_block(size: int) -> Tensor:
    """Allocate shared memory that other processes can be given.

    Args:
        size: Number of bytes, at least one.

    Returns:
        The bytes, (size,), uint8.
    """
    storage = torch.UntypedStorage._new_shared(size)
    return torch.empty(0, dtype=torch.uint8).set_(storage)
