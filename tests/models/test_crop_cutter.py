"""Tests of cutting a batch of crops out of several images."""

import numpy as np
import pytest
import torch

from mmdistill.functional.crops import (
    LONGEST_SIDE,
    boxes_to_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import Frame, View
from mmdistill.models.crop_cutter import CropCutter, CropSource, source_images

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


@pytest.mark.parametrize(
    'view', [View(), View(1.3, True), View(rotation=20.0)], ids=str
)
@pytest.mark.parametrize('rows', [EVERY, torch.tensor([0, 2])], ids=['all', 'some'])
def test_crops_of_bytes_are_those_of_their_values(images, source, view, rows):
    cutter = CropCutter(lambda view: Frame(*INPUT, True))
    of_bytes = source_images(images, OWNERS, torch.device('cpu'))

    batch = cut(cutter, CropSource(of_bytes, OWNERS, source.crops), view, rows)

    expected = cut(cutter, source, view, rows)
    assert batch.dtype == torch.uint8
    # Single precision rounds a place that is read to the other side of a tie.
    assert (batch != expected).float().mean() < 0.01


def test_images_stay_bytes_on_a_cpu_unless_one_is_too_long_for_opencv(images):
    cpu = torch.device('cpu')
    long = torch.zeros(3, 1, LONGEST_SIDE + 1, dtype=torch.uint8)

    of_bytes = source_images(images, OWNERS, cpu)
    unused = source_images([images[0], long, images[2]], OWNERS, cpu)
    used = source_images([images[0], long, images[2]], np.array([0, 1]), cpu)

    assert [image.dtype for image in of_bytes[::2]] == [torch.uint8] * 2
    assert of_bytes[0].permute(1, 2, 0).is_contiguous()
    assert torch.equal(of_bytes[2], images[2])
    assert unused[0].dtype == torch.uint8
    assert [len(image) for image in (of_bytes[1], unused[1])] == [0, 0]
    assert [image.dtype for image in used[:2]] == [torch.float32] * 2


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
