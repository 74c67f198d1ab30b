"""Tests of cutting a batch of crops out of several images."""

import numpy as np
import pytest
import torch

from mmdistill.functional.crops import boxes_to_crops, crop_coordinates, cut_crops
from mmdistill.functional.views import View
from mmdistill.models.crop_cutter import CropCutter

INPUT = (24, 32)
OWNERS = np.array([0, 0, 2])


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    sizes = ((40, 60), (50, 30), (80, 70))
    return [
        torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)
        for size in sizes
    ]


@pytest.fixture
def crops():
    boxes = [[5.0, 5, 30, 35], [20, 10, 58, 39], [-5, 20, 60, 90]]
    return boxes_to_crops(torch.tensor(boxes), 1.25, INPUT[0] / INPUT[1])


@pytest.mark.parametrize('view', [View(), View(1.3, True)], ids=str)
def test_each_crop_comes_from_the_image_that_owns_it(images, crops, view):
    batch = CropCutter(images, OWNERS, crops, INPUT, use_udp=True).cut(view)
    for i, owner in enumerate(OWNERS):
        columns, rows = crop_coordinates(view, crops[[i]], INPUT, use_udp=True)
        alone = cut_crops(images[owner].float(), columns, rows)
        torch.testing.assert_close(batch[[i]], alone, rtol=0, atol=1e-3)


def test_a_view_can_be_cut_twice(images, crops):
    cutter = CropCutter(images, OWNERS, crops, INPUT, use_udp=False)
    first = cutter.cut(View())
    cutter.cut(View(0.5, True))
    assert torch.equal(cutter.cut(View()), first)


@pytest.mark.parametrize('use_udp', [False, True])
def test_crops_keep_the_range_of_the_image(images, crops, use_udp):
    batch = CropCutter(images, OWNERS, crops, INPUT, use_udp).cut(View(0.5))
    assert batch.shape == (3, 3, INPUT[1], INPUT[0])
    assert batch.min() >= 0
    assert 200 < batch.max() <= 255.01
