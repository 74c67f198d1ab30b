"""Tests of the adapter: where a codec's cells lie, and the fusion of views."""

import numpy as np
import pytest
import torch
from mmpose.registry import KEYPOINT_CODECS

from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import View
from mmdistill.models.adapters.codecs import heatmap_axes
from mmdistill.models.adapters.heatmap import HeatmapAdapter

SIZES = dict(input_size=(96, 128), heatmap_size=(24, 32))
REFERENCE = View()
# Codec, stride and offset of its cells along x and y, in decoded input pixels.
CELLS = [
    (dict(type='MSRAHeatmap', sigma=2.0), (4, 0), (4, 0)),
    (dict(type='MSRAHeatmap', sigma=2.0, unbiased=True), (4, 0), (4, 0)),
    (dict(type='UDPHeatmap', sigma=2.0), (96 / 23, 0), (128 / 31, 0)),
    (dict(type='MegviiHeatmap', kernel_size=11), (4, 2), (4, 2)),
]


@pytest.fixture
def crops():
    """Two crops whose cells are 2 and 3 pixels of the image apart."""
    extents = torch.tensor([[48.0, 64.0], [72.0, 96.0]])
    centers = torch.tensor([[100.0, 100.0], [50.0, 80.0]])
    return Crops(centers, extents, extents.prod(1))


@pytest.fixture
def heatmaps():
    return torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(('codec', 'x', 'y'), CELLS)
def test_axes_are_those_of_the_codec(codec, x, y):
    decoder = KEYPOINT_CODECS.build({**codec, **SIZES})
    axes = heatmap_axes(decoder)
    found = [(axis.stride, axis.offset) for axis in axes]
    np.testing.assert_allclose(found, [x, y], rtol=1e-5, atol=1e-3)
    assert [(axis.cells, axis.pixels) for axis in axes] == [(24, 96), (32, 128)]


def test_the_reference_view_alone_is_returned_as_it_is(make_estimator, crops, heatmaps):
    fusion = HeatmapAdapter(make_estimator().head, True).start(2, [0, 2, 1], 'mean')
    fusion.add(REFERENCE, (heatmaps,), crops, EVERY)
    assert torch.equal(fusion.result(), heatmaps)


def test_a_flipped_view_has_its_keypoints_swapped_back(make_estimator, crops, heatmaps):
    fusion = HeatmapAdapter(make_estimator('UDP').head, True).start(
        2, [0, 2, 1], 'mean'
    )
    fusion.add(View(1.0, flip=True), (heatmaps,), crops, EVERY)
    torch.testing.assert_close(fusion.result(), heatmaps[:, [0, 2, 1]].flip(-1))


@pytest.mark.parametrize('name', ['mean', 'max'])
def test_a_magnified_view_changes_nothing_outside_of_its_middle(
    make_estimator, crops, heatmaps, name
):
    adapter = HeatmapAdapter(make_estimator('UDP').head, True)
    alone, both = (adapter.start(2, [0, 1, 2], name) for _ in range(2))
    alone.add(REFERENCE, (heatmaps,), crops, EVERY)
    both.add(REFERENCE, (heatmaps,), crops, EVERY)
    both.add(View(2.0), (heatmaps + 1,), crops, EVERY)
    changed = (both.result() != alone.result()).flatten(0, 1).all(dim=0)
    middle = torch.zeros(32, 24, dtype=torch.bool)
    middle[8:24, 6:18] = True
    assert torch.equal(changed, middle)


@pytest.mark.parametrize('codec', ['MSRA', 'UDP', 'Megvii'])
def test_views_of_equal_peaks_have_no_spread(make_estimator, crops, codec):
    """Cell 12 of the reference is cell 11 of its mirror image, for a UDP codec."""
    adapter = HeatmapAdapter(make_estimator(codec).head, codec == 'UDP')
    fusion = adapter.start(2, [0], 'mean')
    peak = torch.zeros(2, 1, 32, 24)
    peak[..., 10, 12] = 1
    fusion.add(REFERENCE, (peak,), crops, EVERY)
    fusion.add(REFERENCE, (peak,), crops, EVERY)
    assert fusion.spread().abs().max() < 1e-6


def test_spread_is_measured_in_pixels_of_the_image(make_estimator, crops):
    fusion = HeatmapAdapter(make_estimator('MSRA').head, False).start(2, [0], 'mean')
    for column in (10, 14):
        peak = torch.zeros(2, 1, 32, 24)
        peak[..., 16, column] = 1
        fusion.add(REFERENCE, (peak,), crops, EVERY)
    # 4 cells apart, so each 2 cells from the mean: 2 * 2 and 2 * 3 pixels.
    torch.testing.assert_close(fusion.spread(), torch.tensor([[16.0], [36.0]]))


def test_a_udp_mirror_image_agrees_with_the_picture(make_estimator, crops):
    fusion = HeatmapAdapter(make_estimator('UDP').head, True).start(2, [0], 'mean')
    peak = torch.zeros(2, 1, 32, 24)
    peak[..., 10, 15] = 1
    fusion.add(REFERENCE, (peak,), crops, EVERY)
    fusion.add(View(1.0, flip=True), (peak.flip(-1),), crops, EVERY)
    assert fusion.spread().abs().max() < 1e-4


def test_evidence_of_half_precision_is_single(make_estimator, heatmaps):
    adapter = HeatmapAdapter(make_estimator('MSRA').head, False)
    (evidence,) = adapter.evidence(heatmaps.bfloat16())
    assert evidence.dtype == torch.float32


@pytest.mark.parametrize('nested', [lambda h: [h - 1, h], lambda h: [[h - 1], [0, h]]])
def test_the_last_of_several_stages_counts(make_estimator, heatmaps, nested):
    adapter = HeatmapAdapter(make_estimator('MSRA').head, False)
    (evidence,) = adapter.evidence(nested(heatmaps))
    assert torch.equal(evidence, heatmaps)
