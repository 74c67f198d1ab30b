"""Tests of the adapter of vectors: where its bins lie, and the fusion of views."""

import numpy as np
import pytest
import torch
from mmpose.models.utils.tta import flip_vectors
from mmpose.registry import MODELS

from mmdistill.errors import UserError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import EVERY
from mmdistill.functional.views import View
from mmdistill.models.adapters.simcc import SimCCAdapter

INPUT = (96, 128)
FLIP_INDICES = [0, 2, 1]
PIXELS = np.array([[[30.0, 40.5], [60.5, 81.0], [48.0, 100.0]]])


@pytest.fixture
def make_head():
    def make(**codec):
        return MODELS.build(
            dict(
                type='SimCCHead',
                in_channels=4,
                out_channels=3,
                input_size=INPUT,
                in_featuremap_size=(2, 2),
                deconv_out_channels=None,
                decoder=dict(
                    dict(type='SimCCLabel', input_size=INPUT, sigma=6.0), **codec
                ),
            )
        )

    return make


@pytest.fixture
def crops():
    """A crop whose input pixels are 2 pixels of the image apart."""
    extents = torch.tensor([[192.0, 256.0]])
    return Crops(torch.tensor([[100.0, 130.0]]), extents, extents.prod(1))


def encoded(head, pixels):
    labels = head.decoder.encode(pixels, np.ones(pixels.shape[:2]))
    names = 'keypoint_x_labels', 'keypoint_y_labels'
    return tuple(torch.from_numpy(labels[name]) for name in names)


def mirrored(pixels):
    return (pixels * (-1, 1) + (INPUT[0] - 1, 0))[:, FLIP_INDICES]


def start(head, fusion='mean'):
    return SimCCAdapter(head).start(1, FLIP_INDICES, fusion)


@pytest.mark.parametrize('fusion', ['mean', 'max'])
def test_the_reference_view_alone_is_decoded_as_the_head_does(make_head, crops, fusion):
    head = make_head()
    vectors = tuple(torch.randn(1, 3, 2 * i) for i in INPUT)
    fusing = start(head, fusion)
    fusing.add(View(), vectors, crops, EVERY)
    (own,) = head.decode(vectors)
    poses = fusing.decode()
    np.testing.assert_array_equal(poses.keypoints, own.keypoints)
    np.testing.assert_array_equal(poses.keypoint_scores, own.keypoint_scores)
    np.testing.assert_array_equal(poses.keypoints_visible, own.keypoint_scores)


def test_visibility_is_decoded_where_the_codec_does(make_head, crops):
    head = make_head(decode_visibility=True, decode_beta=1.0)
    vectors = tuple(torch.rand(1, 3, 2 * i) for i in INPUT)
    fusing = start(head)
    fusing.add(View(), vectors, crops, EVERY)
    (own,) = head.decode(vectors)
    poses = fusing.decode()
    np.testing.assert_allclose(poses.keypoints_visible, own.keypoints_visible)
    assert not np.allclose(poses.keypoints_visible, poses.keypoint_scores)


@pytest.mark.parametrize('ratio', [1.0, 2.0, 3.0])
def test_a_mirror_image_is_undone_exactly(make_head, crops, ratio):
    head = make_head(simcc_split_ratio=ratio)
    pixels = np.round(PIXELS)
    fusing = start(head)
    fusing.add(View(flip=True), encoded(head, mirrored(pixels)), crops, EVERY)
    np.testing.assert_allclose(fusing.decode().keypoints, pixels, atol=1e-6)


def test_mmpose_reverses_vectors_half_a_pixel_off(make_head):
    """What the module says of `flip_vectors`, at MMPose's split ratio of 2."""
    head = make_head()
    (own,) = head.decode(
        flip_vectors(*encoded(head, mirrored(PIXELS)), flip_indices=FLIP_INDICES)
    )
    np.testing.assert_allclose(own.keypoints - PIXELS, [[[0.5, 0]] * 3])


@pytest.mark.parametrize('view', [View(1.25), View(0.8, True), View(aspect_ratio=1.2)])
def test_a_scaled_view_is_undone_to_a_bin(make_head, crops, view):
    head = make_head()
    middle, x_scale = np.array(INPUT) / 2, view.scale * view.aspect_ratio
    shown = (PIXELS - middle) * (x_scale, view.scale) + middle
    fusing = start(head)
    fusing.add(
        view,
        encoded(head, mirrored(shown) if view.flip else shown),
        crops,
        EVERY,
    )
    errors = fusing.decode().keypoints - PIXELS
    assert np.abs(errors).max() <= 0.5


def test_negative_logits_of_a_view_beat_cells_without_evidence(make_head, crops):
    vectors = tuple(-1 - torch.rand(1, 3, 2 * i) for i in INPUT)
    fusing = start(make_head())
    fusing.add(View(2.0), vectors, crops, EVERY)
    x, y = fusing.result()
    assert ((x.argmax(-1) >= 48) & (x.argmax(-1) <= 144)).all()
    assert ((y.argmax(-1) >= 64) & (y.argmax(-1) <= 192)).all()
    assert x.max() < 0


def test_axes_are_fused_each_by_itself(make_head, crops):
    head = make_head()
    first, second = encoded(head, PIXELS), encoded(head, PIXELS + np.array([8, 0]))
    fusing = start(head)
    fusing.add(View(), first, crops, EVERY)
    fusing.add(View(), second, crops, EVERY)
    x, y = fusing.result()
    torch.testing.assert_close(x, (first[0] + second[0]) / 2)
    torch.testing.assert_close(y, first[1])


def test_spread_is_measured_in_pixels_of_the_image(make_head, crops):
    head = make_head()
    fusing = start(head)
    for pixels in (PIXELS, PIXELS + np.array([4, 0])):
        fusing.add(View(), encoded(head, pixels), crops, EVERY)
    # 4 input pixels apart, so each 2 from the mean: 4 pixels of the image.
    torch.testing.assert_close(fusing.spread(), torch.full((1, 3), 16.0))


def test_exact_mirror_images_have_no_spread(make_head, crops):
    head = make_head()
    fusing = start(head)
    fusing.add(View(), encoded(head, PIXELS), crops, EVERY)
    fusing.add(View(flip=True), encoded(head, mirrored(PIXELS)), crops, EVERY)
    assert fusing.spread().max() < 1e-6


def test_views_of_some_instances_leave_the_others_alone(make_head):
    extents = torch.tensor([[96.0, 128.0]]).expand(2, 2)
    crops = Crops(torch.zeros(2, 2), extents, extents.prod(1))
    vectors = tuple(torch.rand(2, 3, 2 * i) for i in INPUT)
    rows = torch.tensor([1])
    fusing = SimCCAdapter(make_head()).start(2, FLIP_INDICES, 'mean')
    fusing.add(View(), vectors, crops, EVERY)
    others = tuple(v[1:] + 1 for v in vectors)
    fusing.add(View(), others, crops[rows], rows)
    for fused, given in zip(fusing.result(), vectors, strict=True):
        torch.testing.assert_close(
            fused - given, torch.tensor([[[0.0]], [[0.5]]]) + 0 * given
        )


def test_half_precision_is_fused_in_single(make_head):
    output = tuple(torch.rand(1, 3, 2 * i).bfloat16() for i in INPUT)
    evidence = SimCCAdapter(make_head()).evidence(output)
    assert [vectors.dtype for vectors in evidence] == [torch.float32] * 2


def test_rotations_are_refused_by_the_name_of_the_head(make_head):
    adapter = SimCCAdapter(make_head())
    adapter.check([View(), View(1.2, True)], 'max')
    with pytest.raises(UserError, match=r'SimCCHead .* got the view 1 rotated 30'):
        adapter.check([View(), View(rotation=30.0)], 'mean')
