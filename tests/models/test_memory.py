"""Views are fused as they come: their number costs time, not memory."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from mmdistill.models import HeatmapFusionTTA

FLIP_INDICES = [0, 2, 1]
NINE = tuple(np.linspace(0.5, 1.5, 9))


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that operators made and nobody freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(output)[0]:
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return output

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@pytest.fixture
def peak_bytes(make_estimator, some_images):
    """Peak of live tensors while some images are fused, the caches being warm."""

    def measure(scales):
        wrapper = HeatmapFusionTTA(
            make_estimator(), scales=scales, forward_batch_size=3
        ).eval()
        images = [torch.from_numpy(i).permute(2, 0, 1) for i in some_images.images]
        wrapper.fuse(images, some_images.boxes, FLIP_INDICES)
        with LiveBytes() as live:
            wrapper.fuse(images, some_images.boxes, FLIP_INDICES)
        return live.peak

    return measure


def test_eighteen_views_take_the_memory_of_two(peak_bytes):
    assert peak_bytes(NINE) <= 1.02 * peak_bytes((0.8,))


def test_the_counter_sees_what_is_kept():
    with LiveBytes() as live:
        kept = [torch.ones(1000) for _ in range(5)]
    assert live.peak == sum(tensor.nbytes for tensor in kept)


def test_the_counter_forgets_what_is_freed():
    with LiveBytes() as live:
        for _ in range(5):
            torch.ones(1000)
    assert live.peak <= 2 * 4000
