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
        torch.randint(256, (3, *size), generator=generator).float()
        for size in ((90, 120), (70, 80))
    ]
    boxes = torch.tensor([[5, 5, 60, 80], [30, -9, 90, 60], [10, 10, 70, 60.0]])
    return CropSource(images, np.array([0, 0, 1]), boxes_to_crops(boxes, 1.25, 0.75))


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('first', [False, True], ids=['after it', 'alone'])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_a_mirrored_view_is_what_is_cut_of_the_image(source, view, first, use_udp):
    cutter = CropCutter(lambda view: Frame(48, 64, use_udp))
    inputs_of = cutter.inputs_of(source, torch.cat)
    if not first:
        inputs_of(view, EVERY)
    mirrored = inputs_of(mirror(view), EVERY)
    cut = torch.cat(cutter.cut(source, mirror(view), EVERY))
    # Rounding the places read does not always fall to the same side.
    assert ((mirrored - cut).abs() > 1).float().mean() < 0.02


def test_another_view_is_cut_anew(source):
    cutter = CropCutter(lambda view: Frame(48, 64, True))
    inputs_of = cutter.inputs_of(source, torch.cat)
    for view in VIEWS:
        cut = torch.cat(cutter.cut(source, view, EVERY))
        assert torch.equal(inputs_of(view, EVERY), cut)
