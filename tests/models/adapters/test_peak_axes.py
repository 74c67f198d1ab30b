"""Tests of where networks put their peaks, measured with MMPose's encoders."""

import numpy as np
import pytest
import torch
from mmpose.registry import KEYPOINT_CODECS

from mmdistill.functional.views import Frame
from mmdistill.models.adapters.codecs import heatmap_axes, peak_axes

INPUT = (96, 128)
SIZES = dict(input_size=INPUT, heatmap_size=(24, 32))
CODECS = {
    'MSRA': dict(type='MSRAHeatmap', sigma=2.0),
    'DARK': dict(type='MSRAHeatmap', sigma=2.0, unbiased=True),
    'UDP': dict(type='UDPHeatmap', sigma=2.0),
    'Megvii': dict(type='MegviiHeatmap', kernel_size=11),
}
PLACES = 256


def encoded_peaks(decoder):
    """Input pixels (P, 2), and the highest cells (P, 2) that they are encoded to.

    The pixels fill some cells evenly, so that rounding cancels on average.
    """
    width, height = decoder.heatmap_size
    cell = np.array(INPUT) / (width, height)
    if decoder.__class__.__name__.startswith('UDP'):
        cell = (np.array(INPUT) - 1) / (width - 1, height - 1)
    shares = (np.arange(PLACES) + 0.5) / PLACES
    pixels = (np.array([8.0, 10.0]) + 8 * shares[:, None]) * cell
    heatmaps = decoder.encode(pixels[None], np.ones((1, PLACES)))['heatmaps']
    rows, columns = np.divmod(heatmaps.reshape(PLACES, -1).argmax(1), width)
    return pixels, np.stack([columns, rows], axis=1)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('codec', CODECS)
def test_cells_lie_where_the_encoder_puts_its_peaks(codec, use_udp):
    decoder = KEYPOINT_CODECS.build({**CODECS[codec], **SIZES})
    pixels, cells = encoded_peaks(decoder)
    frame = Frame(*INPUT, use_udp)
    for i, axis in enumerate(peak_axes(decoder, frame)):
        found = axis.position(torch.from_numpy(cells[:, i])).numpy()
        shown = pixels[:, i] / frame.spans[i]
        assert found.mean() == pytest.approx(shown.mean(), abs=1e-5)
        assert np.abs(found - shown).max() <= 0.51 * axis.stride / axis.pixels


@pytest.mark.parametrize('codec', CODECS)
def test_the_warp_of_the_codec_leaves_the_cells_where_it_decodes_them(codec):
    decoder = KEYPOINT_CODECS.build({**CODECS[codec], **SIZES})
    assert peak_axes(decoder, Frame(*INPUT, codec == 'UDP')) == heatmap_axes(decoder)
