"""Instances whose first views agree are shown in no others."""

import numpy as np
import pytest
import torch

from mmdistill.errors import ConfigError
from mmdistill.models import HeatmapFusionTTA

FLIP_INDICES = [0, 2, 1]
VIEWS = dict(scales=(0.8, 1.0, 1.25), flip=True, fold_batch_norm=False)
FIELDS = ('keypoints', 'keypoint_scores', 'keypoint_agreement')


def fuse_images(wrapper, given, flip_indices=FLIP_INDICES):
    images = [torch.from_numpy(image).permute(2, 0, 1) for image in given.images]
    return wrapper.fuse(images, given.boxes, flip_indices)


def assert_equal(one, other, **tolerance):
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), **tolerance
        )


@pytest.fixture
def mixed(make_estimator):
    """Lopsided estimator: of some instances the mirror images disagree."""
    return make_estimator('UDP', lopsided=True)


def agreements(estimator, given):
    """Agreement of the first two views of each instance."""
    first = HeatmapFusionTTA(estimator, scales=(1.0,), flip=True, fold_batch_norm=False)
    return fuse_images(first, given).keypoint_agreement.mean(1)


def test_a_rule_that_nobody_meets_shows_all_views(mixed, some_images):
    whole = fuse_images(HeatmapFusionTTA(mixed, **VIEWS), some_images)
    adaptive = HeatmapFusionTTA(mixed, **VIEWS, adaptive=1.0, adaptive_groups=(2,))

    poses = fuse_images(adaptive, some_images)

    assert poses.num_views.tolist() == [6] * len(poses)
    assert_equal(poses, whole, atol=1e-3)


def test_a_rule_that_all_meet_shows_the_first_views_alone(mixed, some_images):
    views = dict(VIEWS, scales=(1.0,))
    first = fuse_images(HeatmapFusionTTA(mixed, **views), some_images)
    adaptive = HeatmapFusionTTA(mixed, **VIEWS, adaptive=0.0, adaptive_groups=(2,))

    poses = fuse_images(adaptive, some_images)

    assert poses.num_views.tolist() == [2] * len(poses)
    assert_equal(poses, first, rtol=0, atol=0)


@pytest.mark.parametrize('size', [1, 2, 64])
def test_each_instance_has_the_label_that_it_has_alone(mixed, some_images, size):
    between = float(np.sort(agreements(mixed, some_images))[:2].mean())
    settings = dict(VIEWS, adaptive=between, adaptive_groups=(2, 2))
    wrapper = HeatmapFusionTTA(mixed, **settings, forward_batch_size=size)
    images = [torch.from_numpy(image).permute(2, 0, 1) for image in some_images.images]

    poses = fuse_images(wrapper, some_images)

    alone = [
        wrapper.fuse([image], [box[None]], FLIP_INDICES)
        for image, boxes in zip(images, some_images.boxes, strict=True)
        for box in boxes
    ]
    assert 2 in poses.num_views
    assert max(poses.num_views) > 2
    for i, one in enumerate(alone):
        assert one.num_views[0] == poses.num_views[i]
        assert_equal(one, poses[i : i + 1], rtol=0, atol=1e-4)


def test_an_instance_that_needs_them_is_shown_in_all_views(mixed, some_images):
    between = float(np.sort(agreements(mixed, some_images))[:2].mean())
    whole = fuse_images(HeatmapFusionTTA(mixed, **VIEWS), some_images)
    wrapper = HeatmapFusionTTA(mixed, **VIEWS, adaptive=between, adaptive_groups=(2,))

    poses = fuse_images(wrapper, some_images)

    further = poses.num_views > 2
    assert 0 < further.sum() < len(poses)
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(poses, name)[further], getattr(whole, name)[further], atol=1e-3
        )


def test_small_instances_are_not_scaled_down_in_later_groups(mixed, some_images):
    settings = dict(VIEWS, size_dependent=True, small_area=1e9, large_area=1e9)
    wrapper = HeatmapFusionTTA(mixed, **settings, adaptive=1.0, adaptive_groups=(2,))

    poses = fuse_images(wrapper, some_images)

    assert poses.num_views.tolist() == [4] * len(poses)


def test_views_and_teachers_decide_together(make_estimator, some_images):
    shifted = make_estimator('UDP')
    shifted.backbone.grid = shifted.backbone.grid + 0.25
    settings = dict(VIEWS, adaptive=0.9, adaptive_groups=(2,))
    alone = HeatmapFusionTTA(make_estimator('UDP'), **settings)
    both = HeatmapFusionTTA(
        make_estimator('UDP'), **settings, ensemble=[dict(module=shifted)]
    )
    nose = [0, 1, 2]

    assert fuse_images(alone, some_images, nose).num_views.max() == 2
    assert fuse_images(both, some_images, nose).num_views.min() == 12


def test_the_rule_is_in_the_provenance_where_there_is_one(mixed):
    plain = HeatmapFusionTTA(mixed, **VIEWS)
    adaptive = HeatmapFusionTTA(mixed, **VIEWS, adaptive=0.95, adaptive_groups=[2, 3])

    assert 'adaptive' not in plain.provenance()
    rule = {'agreement': 0.95, 'groups': [2, 3]}
    assert adaptive.provenance() == {**plain.provenance(), 'adaptive': rule}


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(adaptive=1.5), r'adaptive must be from 0 to 1, got 1\.5'),
        (dict(adaptive='0.9'), "adaptive must be from 0 to 1, got '0.9'"),
        (dict(adaptive_groups=(0,)), r'adaptive_groups .* got \(0,\)'),
        (dict(adaptive_groups=2), 'adaptive_groups .* got 2'),
    ],
)
def test_an_invalid_rule_is_refused(mixed, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        HeatmapFusionTTA(mixed, **settings)


def test_the_number_of_views_is_a_prediction(mixed, some_images, pack):
    wrapper = HeatmapFusionTTA(mixed, **VIEWS)
    items = [
        pack(image, boxes)
        for image, boxes in zip(some_images.images, some_images.boxes, strict=True)
    ]
    batch = {key: [item[key] for item in items] for key in items[0]}

    samples = wrapper.test_step(batch)

    counts = np.concatenate([s.pred_instances.num_views for s in samples])
    assert counts.tolist() == [6] * 3
