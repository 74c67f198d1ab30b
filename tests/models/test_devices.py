"""Nothing names a device: tensors stay where they are put."""

import torch

from mmdistill.functional.crops import (
    boxes_to_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.fusion import MaskedMean, PeakSpread, heatmap_peaks
from mmdistill.functional.inverse_views import Axis, inverse_of
from mmdistill.functional.views import Frame, View

META = torch.device('meta')


def test_crops_are_cut_on_the_device_of_the_boxes():
    crops = boxes_to_crops(torch.empty(5, 4, device=META), 1.25, 0.75)
    frame = Frame(48, 64, True)
    walk = input_walk(View(1.5, flip=True), frame)
    sizes = torch.empty(5, 2, device=META)

    grids = sampling_grids(walk, frame, crops, sizes)
    pixels = cut_crops(torch.empty(3, 100, 120, device=META), grids)

    assert pixels.device == META
    assert pixels.shape == (5, 3, 64, 48)


def test_views_are_fused_on_the_device_of_the_heatmaps():
    heatmaps = torch.empty(5, 17, 16, 12, device=META)
    fused, spread = MaskedMean(5), PeakSpread(5)
    axes = Axis(12, 4.0, 0.0, 48), Axis(16, 4.0, 0.0, 64)

    for view in (View(), View(rotation=20.0)):
        undo = inverse_of(view, Frame(48, 64, True), axes).to(META)
        fused.add(undo(heatmaps), undo.coverage)
        spread.add(*heatmap_peaks(heatmaps))

    assert fused.result().device == spread.result().device == META
