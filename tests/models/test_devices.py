"""Nothing names a device: tensors stay where they are put."""

import numpy as np
import pytest
import torch

from mmdistill.functional.crops import (
    boxes_to_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.fusion import MaskedMean, PeakSpread, heatmap_peaks
from mmdistill.functional.undo import Axis, undo_of
from mmdistill.functional.views import Frame, View
from mmdistill.models import HeatmapFusionTTA

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
        undo = undo_of(view, Frame(48, 64, True), axes).to(META)
        fused.add(undo(heatmaps), undo.coverage)
        spread.add(*heatmap_peaks(heatmaps))

    assert fused.result().device == spread.result().device == META


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs CUDA')
def test_a_gpu_fuses_what_a_cpu_fuses(make_estimator):
    images = [torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8)]
    boxes = [np.array([[10, 10, 60, 70], [0, 0, 90, 80]], dtype=np.float32)]
    flip_indices = [0, 2, 1]
    model = HeatmapFusionTTA(make_estimator(), scales=(0.8, 1.0, 1.25)).eval()

    on_cpu = model.fuse(images, boxes, flip_indices)
    on_gpu = model.cuda().fuse(images, boxes, flip_indices)

    np.testing.assert_allclose(on_gpu.keypoints, on_cpu.keypoints, atol=0.05)
    np.testing.assert_allclose(
        on_gpu.keypoint_scores, on_cpu.keypoint_scores, atol=1e-3
    )
