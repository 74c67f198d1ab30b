"""Tests of crops, against MMPose's transforms and OpenCV."""

import cv2
import numpy as np
import pytest
import torch
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from mmdistill.functional.crops import (
    Crops,
    boxes_to_crops,
    channels_last_bytes,
    crop_matrices,
    cut_byte_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.views import Frame, View

INPUT = (48, 64)
BOXES = {
    'inside': (30.0, 20.0, 90.5, 110.25),
    'wide': (10.0, 40.0, 140.0, 60.0),
    'beyond the left top': (-40.0, -30.0, 50.0, 70.0),
    'beyond the right bottom': (120.0, 90.0, 230.0, 200.0),
    'tiny': (70.0, 60.0, 74.0, 69.0),
}


def one_crop(box, padding=1.25):
    return boxes_to_crops(torch.tensor([box]), padding, INPUT[0] / INPUT[1])


def warp_matrix(crops, use_udp, scale=1.0):
    """MMPose's matrix from image pixels to input pixels, for the only crop."""
    warp = get_udp_warp_matrix if use_udp else get_warp_matrix
    center, extent = crops.centers[0].numpy(), crops.extents[0].numpy()
    return warp(center, extent / scale, 0.0, INPUT)


@pytest.fixture
def photograph():
    """A smooth random picture, (3, 120, 160), values 0 to 255."""
    noise = np.random.default_rng(0).uniform(0, 255, (12, 16, 3)).astype(np.float32)
    picture = cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(picture.clip(0, 255).round()).permute(2, 0, 1)


@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES)
@pytest.mark.parametrize('padding', [1.0, 1.25])
def test_boxes_to_crops_is_what_mmpose_makes_of_a_box(box, padding):
    results = GetBBoxCenterScale(padding)({'bbox': np.array([box], np.float32)})
    extent = TopdownAffine._fix_aspect_ratio(results['bbox_scale'], INPUT[0] / INPUT[1])
    crops = one_crop(box, padding)
    np.testing.assert_allclose(crops.centers, results['bbox_center'], rtol=1e-6)
    np.testing.assert_allclose(crops.extents, extent, rtol=1e-6)


def test_boxes_to_crops_keeps_the_area_of_the_box():
    assert one_crop((10.0, 20.0, 14.0, 25.0)).box_areas.tolist() == [20.0]


def test_no_boxes_make_no_crops():
    assert len(boxes_to_crops(torch.zeros(0, 4), 1.25, 0.75)) == 0


def test_rows_of_crops_are_crops():
    crops = boxes_to_crops(torch.tensor(list(BOXES.values())), 1.25, 0.75)
    torch.testing.assert_close(crops[1:3].extents, crops.extents[1:3])
    torch.testing.assert_close(crops[1:3].box_areas, crops.box_areas[1:3])


def test_to_image_maps_the_unit_square_onto_the_crop():
    crops = Crops(
        torch.tensor([[10.0, 20.0]]), torch.tensor([[4.0, 8.0]]), torch.ones(1)
    )
    corners = torch.tensor([[[0.0, 0.0], [0.5, 0.5], [1.0, 1.0]]])
    expected = [[[8.0, 16.0], [10.0, 20.0], [12.0, 24.0]]]
    assert crops.to_image(corners).tolist() == expected


def in_image(view, crops, use_udp):
    """Image coordinates (x, y) of the input pixels of the only crop, (H, W, 2)."""
    first, right, below = input_walk(view, Frame(*INPUT, use_udp))
    x, y = np.meshgrid(np.arange(INPUT[0]), np.arange(INPUT[1]))
    offsets = first + right * x[..., None] + below * y[..., None]
    return crops.centers[0] + offsets * crops.extents[0]


def cut(picture, view, crops, use_udp):
    """Crops of a view, (N, C, H, W)."""
    sizes = torch.tensor([picture.shape[:0:-1]] * len(crops)).float()
    frame = Frame(*INPUT, use_udp)
    grids = sampling_grids(input_walk(view, frame), frame, crops, sizes)
    return cut_crops(picture, grids)


def cut_bytes(picture, view, crops, use_udp):
    """The same as OpenCV cuts them, float."""
    frame = Frame(*INPUT, use_udp)
    images = [channels_last_bytes(picture.byte())] * len(crops)
    matrices = crop_matrices(input_walk(view, frame), crops)
    return cut_byte_crops(images, matrices, frame).float()


WAYS = pytest.mark.parametrize('way', [cut, cut_bytes])


def grids_at(picture, columns, rows):
    """Sampling grid of chosen columns and rows of a picture, (1, H, W, 2)."""
    x, y = torch.meshgrid(torch.tensor(columns), torch.tensor(rows), indexing='xy')
    places = torch.stack([x, y], dim=-1)
    size = torch.tensor(picture.shape[:0:-1])
    return ((2 * places + 1) / size - 1)[None]


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('scale', [0.5, 1.0, 1.5])
def test_crops_invert_the_warp_of_mmpose(scale, use_udp):
    crops = one_crop(BOXES['inside'])
    inverse = cv2.invertAffineTransform(warp_matrix(crops, use_udp, scale))
    x, y = np.meshgrid(np.arange(INPUT[0]), np.arange(INPUT[1]))
    expected = np.stack([x, y, np.ones_like(x)], axis=-1) @ inverse.T
    found = in_image(View(scale), crops, use_udp)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_a_turned_crop_inverts_the_plain_warp_of_mmpose():
    crops = one_crop(BOXES['inside'])
    center, extent = crops.centers[0].numpy(), crops.extents[0].numpy()
    inverse = cv2.invertAffineTransform(get_warp_matrix(center, extent, 25.0, INPUT))
    x, y = np.meshgrid(np.arange(INPUT[0]), np.arange(INPUT[1]))
    expected = np.stack([x, y, np.ones_like(x)], axis=-1) @ inverse.T
    found = in_image(View(rotation=25.0), crops, use_udp=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize('use_udp', [False, True])
def test_a_flipped_crop_is_the_mirror_image_of_the_crop(photograph, use_udp):
    crops = one_crop(BOXES['inside'])
    plain, mirrored = (
        cut(photograph, view, crops, use_udp) for view in (View(1.2), View(1.2, True))
    )
    torch.testing.assert_close(mirrored, plain.flip(-1), rtol=0, atol=0.01)


@pytest.fixture
def detailed(photograph):
    """A picture with an edge at every pixel."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(-60, 60, photograph.shape, generator=generator)
    return (photograph + noise).clip(0, 255)


def assert_cut_as_by_mmpose(ours, theirs):
    """Equal, but where the matrix that MMPose rounds decides a place read."""
    levels = np.abs(ours[0].permute(1, 2, 0).numpy() - theirs)
    assert (levels > 0).mean() < 0.01


@WAYS
@pytest.mark.parametrize('scale', [0.6, 1.0, 1.5])
@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('box', BOXES.values(), ids=BOXES)
def test_crops_are_those_of_mmposes_topdown_affine(detailed, box, use_udp, scale, way):
    crops = one_crop(box)
    given = dict(
        img=detailed.permute(1, 2, 0).byte().numpy(),
        bbox_center=crops.centers.numpy(),
        bbox_scale=crops.extents.numpy() / scale,
    )
    theirs = TopdownAffine(INPUT, use_udp=use_udp).transform(given)['img']
    assert_cut_as_by_mmpose(way(detailed, View(scale), crops, use_udp), theirs)


@WAYS
def test_turned_crops_are_those_of_mmposes_topdown_affine(detailed, way):
    crops = one_crop(BOXES['inside'])
    given = dict(
        img=detailed.permute(1, 2, 0).byte().numpy(),
        bbox_center=crops.centers.numpy(),
        bbox_scale=crops.extents.numpy(),
        bbox_rotation=np.array([25.0]),
    )
    theirs = TopdownAffine(INPUT).transform(given)['img']
    assert_cut_as_by_mmpose(way(detailed, View(rotation=25.0), crops, False), theirs)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', [View(0.7), View(1.4), View(rotation=-40.0)], ids=str)
def test_both_ways_cut_the_same_crops(detailed, view, use_udp):
    crops = boxes_to_crops(torch.tensor(list(BOXES.values())), 1.25, 0.75)
    one, other = (way(detailed, view, crops, use_udp) for way in (cut, cut_bytes))
    # Single precision rounds a place that is read to the other side of a tie.
    assert (one != other).float().mean() < 1e-3


def test_crops_hold_whole_gray_values(photograph):
    crops = cut(photograph, View(0.8), one_crop(BOXES['beyond the left top']), True)
    assert torch.equal(crops, crops.round())


def test_sampling_at_whole_pixels_copies_them(photograph):
    grids = grids_at(photograph, range(5, 15), range(30, 37))
    crop = cut_crops(photograph, grids)[0]
    torch.testing.assert_close(crop, photograph[:, 30:37, 5:15], rtol=0, atol=0.01)


@WAYS
def test_all_crops_of_an_image_equal_one_by_one(photograph, way):
    crops = boxes_to_crops(torch.tensor(list(BOXES.values())), 1.25, 0.75)
    single = [way(photograph, View(0.8), crops[[i]], True) for i in range(len(crops))]
    torch.testing.assert_close(
        way(photograph, View(0.8), crops, True), torch.cat(single), rtol=0, atol=0
    )


def test_there_is_black_outside_of_an_image(photograph):
    grids = grids_at(photograph, range(-20, -10), range(8))
    assert cut_crops(photograph, grids).abs().max() == 0


def test_there_is_black_outside_of_an_image_of_one_pixel():
    pixel = torch.full((3, 1, 1), 200.0)
    crop = cut_crops(pixel, grids_at(pixel, (-2, 0, 2), (0,)))
    assert crop[0, 0].tolist() == [[0.0, 200.0, 0.0]]
