"""Samples of a batch as a worker of the loader sends them: pixels in one block.

A worker sends each tensor through shared memory of its own, which takes as long as
decoding the image. So the images of a batch are copied into one block, each as soon as
it is read, and the process that takes them gives out views of it. An image keeps its
order in memory: to put its channels into planes takes time, and crops are cut where
they lie side by side.

The system fills new shared memory with zeros page by page, which takes longer than to
copy images into it. So a block that was read is filled again. It takes time to open it,
too, so the process that takes it keeps it open and is sent its name only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

IMAGE = 'inputs'
"""Entry of a sample that holds its pixels."""
GROWTH = 1.25
"""Size of a block that takes the place of one without room, by what that one holds."""
BlockName = tuple[int, int]
"""Name of a block: the process that fills it, and its number there."""


class ReadInTurn(Dataset):
    """Data set that reads the samples of a batch one by one, as they are asked for.

    Args:
        dataset: Data set of the samples.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        return self.dataset[number]

    def __getitems__(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Iterate over the samples of a batch; the loader collates them."""
        return (self.dataset[number] for number in numbers)


class SharedBlock:
    """A block of shared memory, which is sent once and by its name after that.

    The last byte, shared as the rest is, says whether it is in use.

    Args:
        memory: Its bytes and the last one, (size + 1,), uint8.
        name: The process that fills it, and its number there.
        replaced: Names of blocks that are not used any more.
    """

    def __init__(
        self, memory: Tensor, name: BlockName, replaced: Sequence[BlockName] = ()
    ) -> None:
        self.memory = memory
        self._name = name
        self._replaced = tuple(replaced)
        self._is_sent = False

    @property
    def names(self) -> Sequence[BlockName]:
        """Its name, and those of blocks that it replaced if it was never sent."""
        return (self._name,) if self._is_sent else (self._name, *self._replaced)

    @property
    def room(self) -> int:
        """Number of bytes that it holds."""
        return len(self.memory) - 1

    @property
    def in_use(self) -> bool:
        """Whether it is filled or read."""
        return bool(self.memory[-1])

    @in_use.setter
    def in_use(self, value: bool) -> None:
        self.memory[-1] = value

    def __reduce__(self) -> tuple[Any, ...]:
        # Batches of a process arrive in the order in which they are sent.
        sent, self._is_sent = self._is_sent, True
        if sent:
            return _block_by_name, (self._name,)
        return _open_block, (self._name, self.memory, self._replaced)


class SharedBlocks:
    """Blocks of shared memory that a process fills again after others have read them.

    There are as many as are in use at a time, each as large as it ever had to be.
    """

    def __init__(self) -> None:
        self._blocks: list[SharedBlock] = []
        self._made = 0
        self._expected = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def take(self) -> SharedBlock:
        """Return a block that nobody uses; it is in use until it is released.

        A new one has room for a batch as large as the last one.
        """
        free = self._free()
        block = max(free, key=lambda block: block.room) if free else self._make()
        block.in_use = True
        return block

    def with_room(self, block: SharedBlock, used: int, size: int) -> SharedBlock:
        """Return a block with room for more, with what a block holds so far.

        Args:
            block: The block, in use; the one that is returned is in use instead.
            used: Number of bytes that it holds so far.
            size: Number of bytes that it is to hold.
        """
        if size <= block.room:
            return block
        larger = next((other for other in self._free() if other.room >= size), None)
        if larger is None:
            # Some more: to copy what is there for each image of a batch takes long.
            larger = self._make(max(size, int(used * GROWTH)), replaced=block)
            self._blocks.remove(block)
        larger.in_use = True
        larger.memory[:used].copy_(block.memory[:used])
        block.in_use = False
        return larger

    def expect(self, size: int) -> None:
        """Give blocks that are made next the size of a batch that was filled.

        Args:
            size: Number of its bytes.
        """
        self._expected = size

    def _free(self) -> list[SharedBlock]:
        return [block for block in self._blocks if not block.in_use]

    def _make(self, size: int = 0, replaced: SharedBlock | None = None) -> SharedBlock:
        name, self._made = (os.getpid(), self._made), self._made + 1
        memory = shared_block(max(size, self._expected) + 1)
        block = SharedBlock(memory, name, () if replaced is None else replaced.names)
        self._blocks.append(block)
        return block


class SentSamples:
    """Samples with their images in one block of shared memory.

    Args:
        samples: Dicts, whose `inputs` go into the block where they are a tensor of
            bytes, of any shape; each is let go before the next is taken.
        blocks: Blocks of the process, of which one is taken; `release` gives it back.
    """

    def __init__(
        self, samples: Iterable[Mapping[str, Any]], blocks: SharedBlocks
    ) -> None:
        self._samples: list[dict[str, Any]] = []
        self._layouts: dict[int, tuple[torch.Size, tuple[int, ...]]] = {}
        self._pinned: Tensor | None = None
        self._block, end = blocks.take(), 0
        for number, sample in enumerate(map(dict, samples)):
            if _is_image(sample.get(IMAGE)):
                image = sample.pop(IMAGE)
                layout = image.shape, _dense_strides(image.shape, image.stride())
                self._layouts[number] = layout
                begin, end = end, end + image.numel()
                self._block = blocks.with_room(self._block, begin, end)
                self._block.memory.as_strided(*layout, begin).copy_(image)
                # Its memory is free for the next one.
                del image
            self._samples.append(sample)
        self._size = end
        blocks.expect(end)

    def pin_memory(self) -> SentSamples:
        """Copy the images to pinned memory; the loader calls it with `pin_memory`."""
        pinned = self._block.memory[: self._size].pin_memory()
        self.release()
        self._pinned = pinned
        return self

    def release(self) -> None:
        """Give the block back, which ends the life of the images that it holds.

        One that was given back for pinned memory may be in use again by now.
        """
        if self._pinned is None:
            self._block.in_use = False

    def unpacked(self) -> list[dict[str, Any]]:
        """Return the samples; their images are views of the block."""
        memory = self._block.memory if self._pinned is None else self._pinned
        begin = 0
        for number, layout in self._layouts.items():
            self._samples[number][IMAGE] = memory.as_strided(*layout, begin)
            begin += layout[0].numel()
        return self._samples


_OPENED: dict[BlockName, SharedBlock] = {}
"""Blocks of workers that this process has open."""


@contextmanager
def opened_blocks() -> Iterator[None]:
    """Close the blocks that workers sent to this process at the end.

    After an error they stay open until the next use: the loader's thread for pinned
    memory may still take batches.
    """
    _OPENED.clear()
    yield
    _OPENED.clear()


def _open_block(
    name: BlockName, memory: Tensor, replaced: Sequence[BlockName]
) -> SharedBlock:
    """Open a block that is sent for the first time, and close those it replaces."""
    for other in replaced:
        _OPENED.pop(other, None)
    block = _OPENED[name] = SharedBlock(memory, name)
    return block


def _block_by_name(name: BlockName) -> SharedBlock:
    """Return a block that was opened when it was sent for the first time."""
    return _OPENED[name]


@lru_cache(maxsize=256)
def _dense_strides(shape: torch.Size, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a copy of an image without gaps, in the order of the image itself."""
    image = torch.empty_strided(shape, strides, dtype=torch.uint8, device='meta')
    return torch.empty_like(image).stride()


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
