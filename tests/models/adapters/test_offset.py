"""Tests of heatmaps with offsets: undoing views of both, and their fusion."""

import numpy as np
import pytest
import torch
from mmpose.models.utils.tta import flip_heatmaps
from mmpose.registry import MODELS

from mmdistill.errors import UserError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import View, to_view
from mmdistill.models.adapters.offset import OffsetAdapter

INPUT = (96, 128)
FLIP_INDICES = [0, 2, 1]
PIXELS = np.array([[[33.3, 45.5], [60.2, 80.9], [47.0, 70.4]]])
VIEWS = [
    View(),
    View(1.25),
    View(0.8, True),
    View(aspect_ratio=1.2, flip=True),
    View(rotation=25.0),
]


@pytest.fixture
def head():
    decoder = dict(
        type='UDPHeatmap',
        heatmap_type='combined',
        input_size=INPUT,
        heatmap_size=(24, 32),
        blur_kernel_size=3,
        radius_factor=0.125,
    )
    return MODELS.build(
        dict(
            type='HeatmapHead',
            in_channels=4,
            out_channels=9,
            deconv_out_channels=None,
            decoder=decoder,
        )
    )


@pytest.fixture
def crops():
    """A crop of which a pixel of the image is a pixel of the input."""
    extents = torch.tensor([[95.0, 127.0]])
    return Crops(torch.tensor([[100.0, 130.0]]), extents, extents.prod(1))


def shown(head, view):
    """What the codec encodes of the keypoints where a view shows them."""
    frame = OffsetAdapter(head).frame
    spans = torch.tensor(frame.spans)
    pixels = (to_view(view, frame, torch.from_numpy(PIXELS) / spans) * spans).numpy()
    if view.flip:
        pixels = pixels[:, FLIP_INDICES]
    return torch.from_numpy(head.decoder.encode(pixels)['heatmaps'])[None]


def fuse(head, crops, *views_and_maps):
    adapter = OffsetAdapter(head)
    fusing = adapter.start(1, FLIP_INDICES, 'mean')
    for view, maps in views_and_maps:
        fusing.add(view, adapter.evidence(maps), crops, EVERY)
    return fusing


def test_the_reference_view_alone_is_decoded_as_the_head_does(head, crops):
    maps = torch.randn(1, 9, 32, 24, generator=torch.Generator().manual_seed(0))
    (own,) = head.decode(maps)
    poses = fuse(head, crops, (View(), maps)).decode()
    np.testing.assert_array_equal(poses.keypoints, own.keypoints)
    np.testing.assert_array_equal(poses.keypoint_scores, own.keypoint_scores)


def test_a_mirror_image_is_undone_as_mmpose_does(head, crops):
    maps = torch.randn(1, 9, 32, 24, generator=torch.Generator().manual_seed(0))
    own = flip_heatmaps(maps.clone(), FLIP_INDICES, 'udp_combined', False)
    fused = fuse(head, crops, (View(flip=True), maps)).result()
    torch.testing.assert_close(fused.flatten(1, 2), own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_a_view_is_undone_to_the_keypoints_it_shows(head, crops, view):
    poses = fuse(head, crops, (view, shown(head, view))).decode()
    true = PIXELS / (95, 127) * INPUT
    np.testing.assert_allclose(poses.keypoints, true, atol=0.01)


def test_all_views_together_say_the_same(head, crops):
    fusing = fuse(head, crops, *[(view, shown(head, view)) for view in VIEWS])
    true = PIXELS / (95, 127) * INPUT
    np.testing.assert_allclose(fusing.decode().keypoints, true, atol=0.01)
    assert fusing.spread().max() < 1e-4


def test_spread_is_measured_in_pixels_of_the_image(head, crops):
    maps = shown(head, View())
    moved = maps.clone()
    # The radius is 4 cells, so these are 4 pixels of 127 / 31 cells each.
    moved[:, 2::3] += 31 / 127
    spread = fuse(head, crops, (View(), maps), (View(), moved)).spread()
    torch.testing.assert_close(spread, torch.full((1, 3), 4.0), rtol=1e-3, atol=0)


def test_a_maximum_of_offsets_is_refused_by_the_name_of_the_head(head):
    adapter = OffsetAdapter(head)
    adapter.check(VIEWS, 'mean')
    with pytest.raises(UserError, match=r"HeatmapHead .* got 'max'"):
        adapter.check(VIEWS, 'max')
