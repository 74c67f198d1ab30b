"""Tests of cutting a batch of crops out of several images."""

import numpy as np
import pytest
import torch

from mmdistill.functional.crops import (
    boxes_to_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import Frame, View
from mmdistill.models.crop_cutter import CropCutter, CropSource

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
def source(images):
    boxes = [[5.0, 5, 30, 35], [20, 10, 58, 39], [-5, 20, 60, 90]]
    crops = boxes_to_crops(torch.tensor(boxes), 1.25, INPUT[0] / INPUT[1])
    return CropSource([image.float() for image in images], OWNERS, crops)


def cut(cutter, source, view, rows=EVERY):
    return torch.cat(cutter.cut(source, view, rows))


def iter_frames(source, view, use_udp):
    frame = Frame(*INPUT, use_udp)
    single = []
    for i, owner in enumerate(source.owners):
        image = source.images[owner]
        size = torch.tensor([image.shape[:0:-1]]).float()
        grid = sampling_grids(input_walk(view, frame), frame, source.crops[[i]], size)
        single.append(cut_crops(image, grid))
    return torch.cat(single)


@pytest.mark.parametrize(
    'view', [View(), View(1.3, True), View(rotation=20.0)], ids=str
)
def test_each_crop_comes_from_the_image_that_owns_it(source, view):
    batch = cut(CropCutter(lambda view: Frame(*INPUT, True)), source, view)
    expected = iter_frames(source, view, use_udp=True)
    torch.testing.assert_close(batch, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize('rows', [[0, 2], [1], [2]])
def test_some_instances_are_cut_as_among_all(source, rows):
    cutter = CropCutter(lambda view: Frame(*INPUT, True))
    everything = cut(cutter, source, View())
    some = cut(cutter, source, View(), torch.tensor(rows))
    torch.testing.assert_close(some, everything[rows], rtol=0, atol=1e-3)


def test_a_part_of_a_source_has_the_crops_of_its_instances(source):
    cutter = CropCutter(lambda view: Frame(*INPUT, True))
    everything = cut(cutter, source, View())
    part = cut(cutter, source[1:3], View())
    torch.testing.assert_close(part, everything[1:3], rtol=0, atol=1e-3)


def test_a_view_can_be_cut_twice(source):
    cutter = CropCutter(lambda view: Frame(*INPUT, False))
    first = cut(cutter, source, View())
    cut(cutter, source, View(0.5, True))
    assert torch.equal(cut(cutter, source, View()), first)


@pytest.mark.parametrize('use_udp', [False, True])
def test_crops_keep_the_range_of_the_image(source, use_udp):
    batch = cut(CropCutter(lambda view: Frame(*INPUT, use_udp)), source, View(0.5))
    assert batch.shape == (3, 3, INPUT[1], INPUT[0])
    assert batch.min() >= 0
    assert 200 < batch.max() <= 255.01
