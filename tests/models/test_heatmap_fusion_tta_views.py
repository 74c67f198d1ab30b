"""Tests of the views that the fusing wrapper shows to its model."""

import numpy as np
import pytest
import torch

from mmdistill.models import HeatmapFusionTTA

FLIP_INDICES = [0, 2, 1]
MANY = dict(
    scales=(0.75, 1.0, 1.25), aspect_ratios=(0.85, 1.2), rotations=(-25.0, 10.0)
)


def fuse_images(wrapper, given, flip_indices=FLIP_INDICES):
    images = [torch.from_numpy(image).permute(2, 0, 1) for image in given.images]
    return wrapper.fuse(images, given.boxes, flip_indices)


@pytest.fixture
def forwards(make_estimator):
    """An estimator, and the number of crops in each of its forward passes."""
    estimator, counts = make_estimator('UDP'), []
    estimator.backbone.register_forward_hook(
        lambda _, inputs, __: counts.append(len(inputs[0]))
    )
    return estimator, counts


@pytest.mark.parametrize('fusion', ['mean', 'max'])
@pytest.mark.parametrize('codec', ['DARK', 'UDP'])
@pytest.mark.parametrize(
    'views',
    [dict(aspect_ratios=(0.8, 1.25)), dict(rotations=(-30.0, 15.0)), MANY],
    ids=['aspect ratios', 'rotations', 'all'],
)
def test_views_find_the_true_keypoints(
    make_estimator, some_images, codec, views, fusion
):
    wrapper = HeatmapFusionTTA(make_estimator(codec), **views, fusion=fusion)
    poses = fuse_images(wrapper, some_images, [0, 1, 2])
    truth = np.concatenate(some_images.keypoints)
    # One cell of these crops is 5 to 8 pixels of the image.
    assert np.linalg.norm(poses.keypoints - truth, axis=-1).max() < 1.0
    assert poses.keypoint_agreement.min() > 0.8


@pytest.mark.parametrize('view', [dict(rotations=(25.0,)), dict(aspect_ratios=(1.3,))])
def test_a_single_transformed_view_finds_the_true_keypoints(
    make_estimator, some_images, view
):
    wrapper = HeatmapFusionTTA(make_estimator('UDP'), scales=(), flip=False, **view)
    poses = fuse_images(wrapper, some_images)
    truth = np.concatenate(some_images.keypoints)
    assert np.linalg.norm(poses.keypoints - truth, axis=-1).max() < 1.5


def wrap(estimator, **settings):
    """A wrapper that runs the estimator itself and not a folded copy."""
    return HeatmapFusionTTA(estimator, fold_batch_norm=False, **settings)


def test_the_flip_test_of_the_model_itself_is_not_run(forwards, some_images):
    estimator, counts = forwards
    estimator.test_cfg = dict(flip_test=True, shift_heatmap=True)
    wrapper = wrap(estimator, flip=True)
    counts.clear()
    fuse_images(wrapper, some_images)
    assert sum(counts) == 2 * sum(map(len, some_images.boxes))


def test_views_of_few_instances_share_a_forward_pass(forwards, some_images):
    estimator, counts = forwards
    wrapper = wrap(estimator, scales=(0.8, 1.0, 1.2), forward_batch_size=12)
    counts.clear()
    fuse_images(wrapper, some_images)
    # Three instances of two images, six views: four views a pass.
    assert counts == [12, 6]


def test_no_forward_pass_has_more_crops_than_asked_for(forwards, some_images):
    estimator, counts = forwards
    wrapper = wrap(estimator, scales=(0.8, 1.0, 1.2), forward_batch_size=2)
    counts.clear()
    fuse_images(wrapper, some_images)
    assert max(counts) == 2
    assert sum(counts) == 18


def test_a_view_is_forwarded_only_for_the_instances_it_suits(forwards, some_images):
    estimator, counts = forwards
    sides = np.concatenate(some_images.boxes)
    areas = (sides[:, 2:] - sides[:, :2]).prod(1)
    middle = float(np.median(areas))
    wrapper = wrap(
        estimator,
        scales=(0.8, 1.0, 1.25),
        flip=False,
        size_dependent=True,
        small_area=middle,
        large_area=middle,
    )
    counts.clear()
    fuse_images(wrapper, some_images)
    # Scale 1 for all, 0.8 for the two that are not small, 1.25 for the small one.
    assert sum(counts) == 3 + 2 + 1


def test_an_instance_that_a_view_suits_not_is_fused_of_the_others(
    make_estimator, some_images
):
    settings = dict(scales=(0.8, 1.0, 1.25), forward_batch_size=64)
    estimator = make_estimator('UDP', lopsided=True)
    small = HeatmapFusionTTA(
        estimator, **settings, size_dependent=True, small_area=1e9, large_area=1e9
    )
    without = HeatmapFusionTTA(estimator, scales=(1.0, 1.25))
    ours, expected = (fuse_images(w, some_images) for w in (small, without))
    np.testing.assert_allclose(ours.keypoints, expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(
        ours.keypoint_agreement, expected.keypoint_agreement, atol=1e-4
    )
