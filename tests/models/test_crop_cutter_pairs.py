"""A mirrored view is the mirror image of the one before it."""

import numpy as np
import pytest
import torch

from mmdistill.functional.crops import boxes_to_crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import Frame, View
from mmdistill.models.crop_cutter import CropCutter, CropSource

VIEWS = (View(), View(0.6), View(aspect_ratio=1.3), View(rotation=20.0))


def mirror(view: View) -> View:
    return View(view.scale, True, view.aspect_ratio, view.rotation)


@pytest.fixture
def source():
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.rand(3, *size, generator=generator) for size in ((90, 120), (70, 80))
    ]
    boxes = torch.tensor([[5, 5, 60, 80], [30, -9, 90, 60], [10, 10, 70, 60.0]])
    return CropSource(images, np.array([0, 0, 1]), boxes_to_crops(boxes, 1.25, 0.75))


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('first', [False, True], ids=['after it', 'alone'])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_a_mirrored_view_is_what_is_cut_of_the_image(source, view, first, use_udp):
    cutter = CropCutter(Frame(48, 64, use_udp))
    crops_of = cutter.crops_of(source)
    if not first:
        crops_of(view, EVERY)
    torch.testing.assert_close(
        crops_of(mirror(view), EVERY),
        cutter.cut(source, mirror(view), EVERY),
        rtol=0,
        atol=1e-4,
    )


def test_another_view_is_cut_anew(source):
    cutter = CropCutter(Frame(48, 64, True))
    crops_of = cutter.crops_of(source)
    for view in VIEWS:
        assert torch.equal(crops_of(view, EVERY), cutter.cut(source, view, EVERY))
