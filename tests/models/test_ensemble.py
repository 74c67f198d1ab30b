"""Tests of several teachers whose outputs are fused into one label."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from mmpose.models import TopdownPoseEstimator
from torch.nn import functional as F

from mmdistill.errors import ConfigError
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.network import forward_of
from tests.helpers.cell_reader import CellReader

FLIP_INDICES = [0, 2, 1]
SINGLE = dict(flip=False, fold_batch_norm=False)


def fuse_images(wrapper, given, flip_indices=FLIP_INDICES):
    images = [torch.from_numpy(image).permute(2, 0, 1) for image in given.images]
    return wrapper.fuse(images, given.boxes, flip_indices)


def fuse_crops(wrapper, given):
    return wrapper.fuse_crops(
        lambda view, rows: given.pixels[rows].flip(-1 if view.flip else ()),
        given.crops,
        FLIP_INDICES,
    )


def assert_equal(one, other, **tolerance):
    for name in ('keypoints', 'keypoint_scores', 'keypoint_agreement'):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), **tolerance
        )


def sized_estimator(input_size, heatmap_size):
    """Estimator of another input size, whose keypoint k is the peak of channel k."""
    estimator = TopdownPoseEstimator(
        backbone=dict(type=CellReader, first_and_last=((0, 1), (0, 1))),
        head=dict(
            type='HeatmapHead',
            in_channels=3,
            out_channels=3,
            deconv_out_channels=None,
            final_layer=dict(kernel_size=1),
            decoder=dict(
                type='UDPHeatmap',
                sigma=1.5,
                input_size=input_size,
                heatmap_size=heatmap_size,
            ),
        ),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[0] * 3, std=[255] * 3
        ),
    )
    x, y = (torch.linspace(-1, 1, cells) for cells in heatmap_size)
    estimator.backbone.grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), -1)
    weight = torch.eye(3)[..., None, None]
    estimator.head.final_layer.load_state_dict(dict(weight=weight, bias=torch.zeros(3)))
    return estimator.eval()


@pytest.mark.parametrize('codec', ['MSRA', 'UDP', 'Megvii'])
def test_two_teachers_give_the_mean_of_their_heatmaps(
    make_estimator, some_crops, codec
):
    first, second = make_estimator(codec), make_estimator(codec, lopsided=True)
    wrapper = HeatmapFusionTTA(first, **SINGLE, ensemble=[dict(module=second)])

    poses = fuse_crops(wrapper, some_crops)

    with torch.no_grad():
        inputs = some_crops.pixels / 255
        one, other = (forward_of(model)(inputs) for model in (first, second))
    own = InstanceData.cat(first.head.decode((one + other) / 2))
    frame = np.array(first.head.decoder.input_size)
    positions = torch.from_numpy(own.keypoints / frame).float()
    by_hand = some_crops.crops.to_image(positions).numpy()
    np.testing.assert_allclose(poses.keypoints, by_hand, atol=1e-3)
    np.testing.assert_allclose(poses.keypoint_scores, own.keypoint_scores, atol=1e-5)


def test_a_teacher_twice_is_that_teacher(make_estimator, some_images):
    estimator = make_estimator('UDP', lopsided=True)
    views = dict(scales=(0.8, 1.0, 1.25), rotations=(20.0,))
    alone = fuse_images(HeatmapFusionTTA(estimator, **views), some_images)
    twice = HeatmapFusionTTA(
        estimator, **views, ensemble=[dict(module=make_estimator('UDP', lopsided=True))]
    )

    assert_equal(fuse_images(twice, some_images), alone, atol=2e-3)


def test_teachers_take_turns_with_the_same_labels(make_estimator, some_images):
    poses = [
        fuse_images(
            HeatmapFusionTTA(
                make_estimator('UDP'),
                ensemble=[dict(module=make_estimator('UDP', lopsided=True))],
                forward_batch_size=1,
                offload=offload,
            ),
            some_images,
        )
        for offload in (True, False)
    ]

    assert_equal(*poses, rtol=0, atol=0)


def test_agreement_is_over_the_teachers_too(make_estimator, some_images):
    shifted = make_estimator('UDP')
    shifted.backbone.grid = shifted.backbone.grid + 0.25
    alone = HeatmapFusionTTA(make_estimator('UDP'), flip=False)
    both = HeatmapFusionTTA(
        make_estimator('UDP'), flip=False, ensemble=[dict(module=shifted)]
    )

    assert fuse_images(alone, some_images).keypoint_agreement.min() > 0.99
    assert fuse_images(both, some_images).keypoint_agreement.max() < 0.9


@pytest.mark.parametrize(
    ('input_size', 'heatmap_size', 'padding'),
    [
        ((48, 64), (12, 16), 1.25),
        ((192, 256), (48, 64), 1.25),
        ((96, 96), (24, 24), 1.25),
        ((96, 128), (24, 32), 1.6),
        ((64, 128), (32, 64), 1.1),
    ],
)
@pytest.mark.parametrize('fusion', ['mean', 'max'])
def test_teachers_of_other_inputs_and_crops_find_the_true_keypoints(
    make_estimator, some_images, input_size, heatmap_size, padding, fusion
):
    other = sized_estimator(input_size, heatmap_size)
    wrapper = HeatmapFusionTTA(
        make_estimator('UDP'),
        scales=(0.9, 1.0),
        fusion=fusion,
        ensemble=[dict(module=other, padding=padding)],
    )

    poses = fuse_images(wrapper, some_images, [0, 1, 2])

    truth = np.concatenate(some_images.keypoints)
    # A cell of these crops is 4 to 14 pixels of the image.
    assert np.linalg.norm(poses.keypoints - truth, axis=-1).max() < 1.5
    assert poses.keypoint_agreement.min() > 0.8


def test_the_finest_grid_is_decoded_whatever_the_order(make_estimator, some_images):
    fine = sized_estimator((192, 256), (48, 64))
    coarse = make_estimator('UDP')
    first, second = (
        fuse_images(
            HeatmapFusionTTA(one, flip=False, ensemble=[dict(module=other)]),
            some_images,
        )
        for one, other in ((fine, coarse), (coarse, fine))
    )

    assert_equal(first, second, rtol=0, atol=1e-4)


def test_a_teacher_returns_its_keypoints_in_the_labels_order(
    make_estimator, some_images
):
    order = [2, 0, 1]
    other = make_estimator('UDP')
    layer = other.head.final_layer
    layer.weight.data = layer.weight.data[order]
    # Channel k of the other teacher is keypoint order[k] of the labels.
    other.test_cfg = dict(output_keypoint_indices=[order.index(k) for k in range(3)])
    views = dict(scales=(0.9, 1.0), flip=True)
    alone = fuse_images(HeatmapFusionTTA(make_estimator('UDP'), **views), some_images)

    both = HeatmapFusionTTA(
        make_estimator('UDP'), **views, ensemble=[dict(module=other)]
    )

    assert_equal(fuse_images(both, some_images), alone, atol=2e-3)


def test_crops_of_all_teachers_are_counted(make_estimator):
    ensemble = [dict(module=make_estimator('UDP'))] * 2
    wrapper = HeatmapFusionTTA(
        make_estimator('UDP'), scales=(0.8, 1.0), ensemble=ensemble
    )

    assert wrapper.views_per_box == 12
    assert wrapper.work_per_box == 12


def test_heatmaps_of_other_scales_are_refused(make_estimator):
    with pytest.raises(ConfigError, match=r'teacher\[1\].*same scale.*Megvii'):
        HeatmapFusionTTA(
            make_estimator('UDP'), ensemble=[dict(module=make_estimator('Megvii'))]
        )


def test_another_number_of_keypoints_is_refused(make_estimator):
    other = make_estimator('UDP')
    other.test_cfg = dict(output_keypoint_indices=[0, 1])

    with pytest.raises(ConfigError, match=r'same keypoints, got 3 and 2'):
        HeatmapFusionTTA(make_estimator('UDP'), ensemble=[dict(module=other)])


def coordinate_estimator(head, input_size=(96, 128), **codec):
    return TopdownPoseEstimator(
        backbone=dict(type=Shrink),
        head=dict(
            type=head,
            in_channels=3,
            num_joints=3,
            decoder=dict(type='RegressionLabel', input_size=input_size),
        ),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[0] * 3, std=[255] * 3
        ),
    ).eval()


class Shrink(torch.nn.Module):
    """The mean of each channel, as a feature of one cell."""

    def forward(self, inputs):
        return (F.adaptive_avg_pool2d(inputs, 1),)


def simcc_estimator(ratio=2.0):
    return TopdownPoseEstimator(
        backbone=dict(type=Shrink),
        head=dict(
            type='SimCCHead',
            in_channels=3,
            out_channels=3,
            input_size=(96, 128),
            in_featuremap_size=(1, 1),
            simcc_split_ratio=ratio,
            deconv_out_channels=None,
            decoder=dict(
                type='SimCCLabel',
                input_size=(96, 128),
                sigma=3.0,
                simcc_split_ratio=ratio,
            ),
        ),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[0] * 3, std=[255] * 3
        ),
    ).eval()


@pytest.mark.parametrize('head', ['RegressionHead', 'RLEHead'])
def test_coordinates_are_averaged_over_teachers(some_images, head):
    models = [coordinate_estimator(head) for _ in range(2)]
    for model in models:
        torch.nn.init.normal_(model.head.fc.weight, std=0.5)
        model.head.fc.bias.data.fill_(0.4)
    alone = [
        fuse_images(HeatmapFusionTTA(model, flip=False), some_images)
        for model in models
    ]

    both = fuse_images(
        HeatmapFusionTTA(models[0], flip=False, ensemble=[dict(module=models[1])]),
        some_images,
    )

    scores = np.stack([poses.keypoint_scores for poses in alone])
    points = np.stack([poses.keypoints for poses in alone])
    weights = scores[..., None] / scores.sum(0)[..., None]
    np.testing.assert_allclose(both.keypoints, (points * weights).sum(0), atol=1e-2)
    np.testing.assert_allclose(both.keypoint_scores, scores.mean(0), atol=1e-5)


def test_vectors_are_averaged_over_teachers(some_crops):
    models = [simcc_estimator() for _ in range(2)]
    for model in models:
        torch.nn.init.normal_(model.head.mlp_head_x.weight)
        torch.nn.init.normal_(model.head.mlp_head_y.weight)
    wrapper = HeatmapFusionTTA(models[0], **SINGLE, ensemble=[dict(module=models[1])])

    poses = fuse_crops(wrapper, some_crops)

    with torch.no_grad():
        outputs = [forward_of(model)(some_crops.pixels / 255) for model in models]
    means = tuple((one + other) / 2 for one, other in zip(*outputs, strict=True))
    own = InstanceData.cat(models[0].head.decode(means))
    positions = torch.from_numpy(own.keypoints / (96, 128)).float()
    by_hand = some_crops.crops.to_image(positions).numpy()
    np.testing.assert_allclose(poses.keypoints, by_hand, atol=1e-3)
    np.testing.assert_allclose(poses.keypoint_scores, own.keypoint_scores, atol=1e-5)


@pytest.mark.parametrize(
    ('first', 'other', 'sentence'),
    [
        (simcc_estimator, lambda: simcc_estimator(3.0), 'same bins'),
        (
            lambda: coordinate_estimator('RegressionHead'),
            lambda: coordinate_estimator('RLEHead'),
            'same head.*RegressionHead and RLEHead',
        ),
        (
            lambda: coordinate_estimator('RLEHead'),
            lambda: coordinate_estimator('RLEHead', (128, 128)),
            'same crops',
        ),
        (
            simcc_estimator,
            lambda: coordinate_estimator('RLEHead'),
            'same kind of output, got a vector for each axis and coordinates',
        ),
    ],
)
def test_what_cannot_be_averaged_is_refused(first, other, sentence):
    with pytest.raises(ConfigError, match=rf'teacher\[1\].*{sentence}'):
        HeatmapFusionTTA(first(), ensemble=[dict(module=other())])
