"""Tests of the adapter of coordinates: undoing views, weights and scores."""

import numpy as np
import pytest
import torch
from mmpose.models.utils.tta import flip_coordinates
from mmpose.registry import MODELS

from mmdistill.errors import UserError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import View, to_view
from mmdistill.models.adapters.regression import CoordinateAdapter

INPUT = (96, 128)
FLIP_INDICES = [0, 2, 1]
KINDS = {'RegressionHead': 2, 'RLEHead': 4}
VIEWS = [
    View(1.5),
    View(0.7, True),
    View(aspect_ratio=1.3, flip=True),
    View(rotation=40.0),
    View(rotation=-15.0, flip=True),
]


def make_head(kind='RegressionHead'):
    decoder = dict(type='RegressionLabel', input_size=INPUT)
    return MODELS.build(dict(type=kind, in_channels=4, num_joints=3, decoder=decoder))


@pytest.fixture
def crops():
    """Two crops whose input pixels are 1 and 2 pixels of the image apart."""
    extents = torch.tensor([[96.0, 128.0], [192.0, 256.0]])
    return Crops(torch.tensor([[100.0, 100.0], [50.0, 80.0]]), extents, extents.prod(1))


def random_output(kind, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, KINDS[kind], generator=generator)


def own_decoding(head, output):
    output = torch.cat([output[..., :2], output[..., 2:].sigmoid()], dim=-1)
    instances = head.decode(output[:, None])
    return [
        np.concatenate([getattr(each, name) for each in instances])
        for name in ('keypoints', 'keypoint_scores')
    ]


def fuse(head, crops, outputs, use_udp=False):
    adapter = CoordinateAdapter(head, use_udp)
    fusing = adapter.start(len(crops), FLIP_INDICES, 'mean')
    for view, output in outputs:
        fusing.add(view, adapter.evidence(output), crops, EVERY)
    return fusing


@pytest.mark.parametrize('kind', KINDS)
def test_the_reference_view_alone_is_decoded_as_the_head_does(kind, crops):
    head, output = make_head(kind), random_output(kind)
    poses = fuse(head, crops, [(View(), output)]).decode()
    keypoints, scores = own_decoding(head, output)
    np.testing.assert_allclose(poses.keypoints, keypoints, atol=1e-4)
    np.testing.assert_allclose(poses.keypoint_scores, scores, atol=1e-6)
    np.testing.assert_array_equal(poses.keypoints_visible, poses.keypoint_scores)


def test_coordinates_beside_heatmaps_are_taken(crops):
    head, output = make_head(), random_output('RegressionHead')
    beside = fuse(head, crops, [(View(), (output, torch.rand(2, 3, 8, 6)))]).decode()
    alone = fuse(head, crops, [(View(), output)]).decode()
    np.testing.assert_array_equal(beside.keypoints, alone.keypoints)


def test_a_mirror_image_is_undone_as_mmpose_shifts_coordinates(crops):
    head, output = make_head(), random_output('RegressionHead')
    own = flip_coordinates(output.clone(), FLIP_INDICES, True, INPUT)
    poses = fuse(head, crops, [(View(flip=True), output)]).decode()
    np.testing.assert_allclose(poses.keypoints, own * torch.tensor(INPUT), atol=1e-4)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_a_view_is_undone_exactly(view, use_udp, crops):
    head, truth = make_head(), random_output('RegressionHead').double()
    frame = CoordinateAdapter(head, use_udp).frame
    shares = torch.tensor(INPUT) / torch.tensor(frame.spans)
    shown = to_view(view, frame, truth * shares) / shares
    if view.flip:
        shown = shown[:, FLIP_INDICES]
    poses = fuse(head, crops, [(view, shown)], use_udp).decode()
    np.testing.assert_allclose(poses.keypoints, truth * torch.tensor(INPUT), atol=1e-4)


def test_a_magnified_view_gives_positions_nearer_to_the_middle(crops):
    head, output = make_head(), random_output('RegressionHead')
    poses = fuse(head, crops, [(View(2.0), output)]).decode()
    expected = (output / 2 + 1 / 4) * torch.tensor(INPUT)
    np.testing.assert_allclose(poses.keypoints, expected, atol=1e-4)


def test_heads_without_scores_are_averaged_alike(crops):
    head = make_head()
    outputs = [random_output('RegressionHead', seed) for seed in range(3)]
    poses = fuse(head, crops, [(View(), output) for output in outputs]).decode()
    expected = torch.stack(outputs).mean(0) * torch.tensor(INPUT)
    np.testing.assert_allclose(poses.keypoints, expected, atol=1e-4)
    np.testing.assert_array_equal(poses.keypoint_scores, 1)


def test_views_are_weighted_by_their_scores(crops):
    head = make_head('RLEHead')
    outputs = [random_output('RLEHead', seed) * 4 - 2 for seed in range(3)]
    poses = fuse(head, crops, [(View(), output) for output in outputs]).decode()
    decoded = [own_decoding(head, output) for output in outputs]
    keypoints, scores = (np.stack(each) for each in zip(*decoded, strict=True))
    expected = (keypoints * scores[..., None]).sum(0) / scores.sum(0)[..., None]
    np.testing.assert_allclose(poses.keypoints, expected, atol=1e-4)
    np.testing.assert_allclose(poses.keypoint_scores, scores.mean(0), atol=1e-6)


def test_views_none_of_which_has_a_score_count_alike(crops):
    head = make_head('RLEHead')
    outputs = [random_output('RLEHead', seed) for seed in range(2)]
    for output in outputs:
        output[..., 2:] = 100
    poses = fuse(head, crops, [(View(), output) for output in outputs]).decode()
    expected = torch.stack(outputs).mean(0)[..., :2] * torch.tensor(INPUT)
    np.testing.assert_allclose(poses.keypoints, expected, atol=1e-4)
    np.testing.assert_array_equal(poses.keypoint_scores, 0)


def test_spread_is_measured_in_pixels_of_the_image(crops):
    head, output = make_head(), random_output('RegressionHead')
    moved = output + torch.tensor([4 / INPUT[0], 0])
    fusing = fuse(head, crops, [(View(), output), (View(), moved)])
    expected = torch.tensor([[4.0] * 3, [16.0] * 3])
    torch.testing.assert_close(fusing.spread(), expected, rtol=1e-4, atol=0)


def test_exact_mirror_images_have_no_spread(crops):
    head, output = make_head(), random_output('RegressionHead')
    mirror = flip_coordinates(output.clone(), FLIP_INDICES, True, INPUT)
    fusing = fuse(head, crops, [(View(), output), (View(flip=True), mirror)])
    assert fusing.spread().max() < 1e-6


def test_a_maximum_of_coordinates_is_refused_by_the_name_of_the_head():
    adapter = CoordinateAdapter(make_head('RLEHead'))
    adapter.check([View(rotation=10.0)], 'mean')
    with pytest.raises(UserError, match=r"RLEHead .* got 'max'"):
        adapter.check([View()], 'max')
