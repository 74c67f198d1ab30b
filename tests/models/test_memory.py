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
    """Counts the bytes of all tensors that operators made and nobody freed."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        # Weak references to storages are not kept by torch 2.1.
        self._made: list[weakref.ref[torch.Tensor]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        made = [each for each in tree_flatten(output)[0] if torch.is_tensor(each)]
        self._made += map(weakref.ref, made)
        self.peak = max(self.peak, self._now())
        return output

    def _now(self) -> int:
        live = [tensor for ref in self._made if (tensor := ref()) is not None]
        self._made = [weakref.ref(tensor) for tensor in live]
        storages = [tensor.untyped_storage() for tensor in live]
        return sum({each.data_ptr(): each.nbytes() for each in storages}.values())


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
