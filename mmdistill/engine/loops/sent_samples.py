"""Samples of a batch as a worker of the loader sends them: pixels in one block.

A worker sends each tensor through shared memory of its own, which takes as long as
decoding the image. So the images of a batch are copied into one block, and the process
that takes them gives out views of it. An image keeps its order in memory: to put its
channels into planes takes time, and crops are cut where they lie side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

IMAGE = 'inputs'
"""Entry of a sample that holds its pixels."""


class SentSamples:
    """Samples with their images in one block of shared memory.

    Args:
        samples: Dicts, whose `inputs` go into the block where they are a tensor of
            bytes, of any shape.
    """

    def __init__(self, samples: Sequence[Mapping[str, Any]]) -> None:
        self._samples = [dict(sample) for sample in samples]
        self._packed = [s for s in self._samples if _is_image(s.get(IMAGE))]
        images = [sample.pop(IMAGE) for sample in self._packed]
        self._layouts = [_layout_of(image) for image in images]
        self._block = shared_block(sum(image.numel() for image in images))
        for part, image in zip(self._parts(), images, strict=True):
            part.copy_(image)

    def pin_memory(self) -> SentSamples:
        """Move the block to pinned memory; the loader calls it with `pin_memory`."""
        self._block = self._block.pin_memory()
        return self

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
        size: Number of bytes, of which at least one is allocated.

    Returns:
        The bytes, (size,) or (1,), uint8.
    """
    storage = torch.UntypedStorage._new_shared(max(size, 1))
    return torch.empty(0, dtype=torch.uint8).set_(storage)
