"""Whole images in several views: one view is the host's, several are matched."""

from __future__ import annotations

import copy
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmpose.structures import PoseDataSample

from mmdistill.errors import UserError
from mmdistill.functional.box_fit import BoxFit, boxes_around
from mmdistill.models import PoseFinder
from mmdistill.models.finders.bottom_up import CenterFinder, TagFinder
from mmdistill.models.finders.build import build_finder, finder_class, finds_instances
from mmdistill.models.finders.one_stage import OneStageFinder
from tests.helpers.devices import NEEDS_FULL_TORCH
from tests.helpers.finder_models import (
    FLIP_INDICES,
    MODELS,
    RESIZE,
    SIGMAS,
    batch_of,
    build_finder_model,
    finder_config,
    host_predictions,
    noise_image,
)

IMAGES = [noise_image((90, 60)), noise_image((64, 64), 1), noise_image((48, 84), 2)]
HOST = [name for name in MODELS if name != 'AE']
"""Families whose host predicts one view."""
CLOSE = 1e-4
"""Rounding of scores."""


@pytest.fixture(scope='module')
def models() -> dict[str, Any]:
    """A model of each family."""
    return {name: build_finder_model(name) for name in MODELS}


def find(model: Any, images: list[np.ndarray], **settings: Any) -> list[Any]:
    """Predicted instances of images, in one plain view by default."""
    # The host's DEKR does not run in channels-last format.
    own = dict(sigmas=SIGMAS, flip=False, channels_last=False)
    settings = {**RESIZE, **own, **settings}
    box_fit = settings.pop('box_fit', None)
    finder = PoseFinder(model, **settings).eval()
    finder.box_fit = box_fit
    samples = finder.test_step(batch_of(images))
    return [sample.pred_instances for sample in samples]


def by_score(instances: Any, rule: str) -> Any:
    """Predictions of the host, best first by the rule of the family."""
    scores = instances.keypoint_scores.mean(axis=1)
    if rule == 'bbox':
        scores = instances.bbox_scores
    return instances[np.argsort(-scores, kind='stable')]


@pytest.mark.parametrize('name', HOST)
def test_one_view_alone_is_the_prediction_of_the_host(models, name):
    model = models[name]
    rule = build_finder(model).score_mode

    found = find(model, IMAGES)

    for ours, sample in zip(found, host_predictions(model, IMAGES), strict=True):
        host = by_score(sample.pred_instances, rule)
        assert len(ours) == len(host) >= 3
        np.testing.assert_allclose(ours.keypoints, host.keypoints, atol=1e-3)
        np.testing.assert_allclose(
            ours.keypoint_scores, host.keypoint_scores, atol=CLOSE
        )
        if 'bboxes' in host:
            np.testing.assert_allclose(ours.bboxes, host.bboxes, atol=1e-3)
            np.testing.assert_allclose(ours.bbox_scores, host.bbox_scores, atol=CLOSE)
        np.testing.assert_array_equal(ours.keypoint_agreement, 1)
        assert set(ours.category_ids.tolist()) == {1}


@pytest.mark.parametrize('name', ['YOLOX-Pose', 'CID'])
def test_one_view_is_that_of_the_host_where_inputs_grow_with_the_image(models, name):
    rule = build_finder(models[name]).score_mode
    resize = dict(resize_mode='expand', size_factor=32, pad_val=0)

    found = find(models[name], IMAGES, **resize)

    hosts = host_predictions(models[name], IMAGES, **resize)
    for ours, sample in zip(found, hosts, strict=True):
        host = by_score(sample.pred_instances, rule)
        np.testing.assert_allclose(ours.keypoints, host.keypoints, atol=1e-3)


@pytest.mark.parametrize('mode', ['fit', 'expand'])
@pytest.mark.parametrize('name', ['YOLOX-Pose', 'DEKR'])
def test_poses_on_a_reduced_image_are_in_pixels_of_the_whole_one(models, name, mode):
    image = cv2.resize(noise_image((90, 66)), (540, 396))
    # Squares of pixels have become their means, as a JPEG is decoded.
    small = cv2.resize(image, (135, 99), interpolation=cv2.INTER_AREA)
    settings = {**RESIZE, 'resize_mode': mode, 'sigmas': SIGMAS, 'flip': False}
    finder = PoseFinder(models[name], channels_last=False, **settings).eval()

    (whole,) = finder.test_step(batch_of([image]))
    batch = batch_of([small])
    about = dict(ori_shape=image.shape[:2], reduction=4)
    batch['data_samples'][0].set_metainfo(about)
    (reduced,) = finder.test_step(batch)

    ours, theirs = reduced.pred_instances, whole.pred_instances
    assert min(len(ours), len(theirs)) >= 3
    # An input pixel is more than 6 pixels of the image.
    np.testing.assert_allclose(ours.keypoints[0], theirs.keypoints[0], atol=3)
    np.testing.assert_allclose(ours.bboxes[0], theirs.bboxes[0], atol=3)


def test_a_view_of_tags_is_what_the_host_flips_without_its_mirror_image():
    """Features are seen cell by cell here, so the mirror image adds them once more."""
    model = build_finder_model('AE', flip_test=True)
    torch.manual_seed(3)
    feats = torch.randn(2, 16, 16, 16)
    # Tags of vertical bands, which are the same or apart by more than any threshold.
    feats[:, 0] = torch.tensor([0.0, 16.0, 32.0, 48.0]).repeat_interleave(4)
    with torch.no_grad():
        model.head.final_layer.weight[:3, 0] = 0
        model.head.final_layer.weight[3:] = 0
        model.head.final_layer.weight[3:, 0] = 1
    metainfo = dict(
        input_size=(64, 64), img_shape=(64, 64), flip_indices=list(range(3))
    )
    samples = [PoseDataSample(metainfo=metainfo) for _ in feats]

    with torch.no_grad():
        found = build_finder(model).find((feats,), samples)
        hosts = model.head.predict(
            [(feats,), (feats.flip(-1),)], samples, test_cfg=model.test_cfg
        )

    for ours, host in zip(found, hosts, strict=True):
        assert len(ours) == len(host) >= 3
        np.testing.assert_array_equal(ours.keypoints, host.keypoints)
        np.testing.assert_array_equal(ours.keypoint_scores, host.keypoint_scores)
        np.testing.assert_array_equal(ours.scores, host.bbox_scores)


@pytest.mark.parametrize('name', ['YOLOX-Pose', 'RTMO', 'CID'])
def test_a_mirrored_image_has_the_mirrored_poses(models, name):
    """In both views, where a pixel of the input is a pixel of the image."""
    image = IMAGES[1]
    plain, mirrored = (
        find(models[name], [pixels], flip=True)[0]
        for pixels in (image, np.ascontiguousarray(image[:, ::-1]))
    )

    assert len(plain) == len(mirrored) >= 3
    # Of equal scores any may be first, so each is looked for.
    expected = plain.keypoints[:, FLIP_INDICES].copy()
    expected[..., 0] = 63 - expected[..., 0]
    distances = np.abs(expected[:, None] - mirrored.keypoints[None]).max(axis=(2, 3))
    assert distances.min(axis=1).max() < 0.01


@pytest.mark.parametrize('name', ['YOLOX-Pose', 'DEKR', 'AE'])
def test_an_image_does_not_depend_on_the_others(models, name):
    views = dict(resolutions=(1.0, 1.5), resize_mode='expand')

    together = find(models[name], IMAGES, forward_batch_size=2, **views)

    for image, ours in zip(IMAGES, together, strict=True):
        (alone,) = find(models[name], [image], **views)
        np.testing.assert_allclose(ours.keypoints, alone.keypoints, atol=0.01)
        np.testing.assert_allclose(ours.bbox_scores, alone.bbox_scores, atol=CLOSE)


def test_a_view_that_does_not_find_an_instance_counts_as_0(models):
    model = models['YOLOX-Pose']

    (one,) = find(model, IMAGES[:1])
    (two,) = find(model, IMAGES[:1], flip=True, match_thr=1.0)

    # Nothing matches, so each pose has half of its score.
    assert len(two) > len(one)
    assert (two.num_views == 1).all()
    assert two.bbox_scores.max() <= 0.5
    assert np.isclose(two.bbox_scores, one.bbox_scores[0] / 2, atol=1e-5).any()
    assert (two.keypoint_agreement <= 0.5).all()


def test_a_model_beside_itself_changes_nothing(models):
    model = models['YOLOX-Pose']
    other = dict(module=copy.deepcopy(model), **RESIZE)

    (one,) = find(model, IMAGES[:1])
    (two,) = find(model, IMAGES[:1], ensemble=[other])

    np.testing.assert_allclose(two.keypoints, one.keypoints, atol=1e-3)
    np.testing.assert_allclose(two.bbox_scores, one.bbox_scores, atol=1e-6)
    assert (two.num_views == 2).all()


def test_a_threshold_of_the_head_is_taken_down_to_the_floor():
    model = build_finder_model('RTMO', score_thr=0.5)

    (own,) = find(model, IMAGES[:1])
    (floor,) = find(model, IMAGES[:1], score_floor=0.01)
    (higher,) = find(model, IMAGES[:1], score_floor=0.9)

    assert own.bbox_scores.min() >= 0.5 > floor.bbox_scores.min()
    assert len(floor) > len(own) == len(higher)
    assert model.test_cfg['score_thr'] == 0.5


def test_the_score_of_a_bottom_up_instance_is_the_mean_of_its_keypoints(models):
    (found,) = find(models['CID'], IMAGES[:1], flip=True, resolutions=(1.0, 1.5))

    np.testing.assert_allclose(
        found.instance_scores, found.keypoint_scores.mean(axis=1), atol=1e-6
    )
    assert (found.num_views < 4).any()


def test_boxes_of_poses_without_have_the_margins_of_the_fit(models):
    fit = BoxFit(margins=(0.3, 0.2, 0.1, 0.0), least=2)

    (found,) = find(models['DEKR'], IMAGES[:1], box_fit=fit)

    expected = boxes_around(
        found.keypoints, found.keypoint_scores, fit.margins, (90, 60)
    )
    np.testing.assert_allclose(found.bboxes, expected, atol=1e-3)


def test_small_instances_are_not_shown_smaller(models):
    model = models['YOLOX-Pose']
    views = dict(resolutions=(0.5, 1.0), match_thr=0)

    (own,) = find(model, IMAGES[:1])
    (none,) = find(
        model, IMAGES[:1], size_dependent=True, small_area=1e9, large_area=1e9, **views
    )
    (both,) = find(model, IMAGES[:1], size_dependent=True, small_area=0, **views)

    np.testing.assert_allclose(none.bbox_scores, own.bbox_scores, atol=1e-5)
    assert both.num_views.max() == 2


@pytest.mark.parametrize('part', ['backbone', 'head'])
def test_a_teacher_that_gives_nan_alone_finds_an_unknown_instance(part):
    model = build_finder_model('YOLOX-Pose')
    next(getattr(model, part).parameters()).data.fill_(torch.nan)

    for found in find(model, IMAGES, flip=True):
        assert not found.keypoints_known.any()
        assert found.keypoint_scores.max() == 0


def test_poses_none_of_which_is_finite_are_an_unknown_instance():
    model = build_finder_model('YOLOX-Pose')
    for layer in model.head.head_module.out_kpt:
        # The weights are finite, what is made of them is not.
        layer.bias.data.fill_(3e38)

    (found,) = find(model, IMAGES[:1], flip=True)

    assert len(found) == 1
    assert not found.keypoints_known.any()


def test_an_image_without_pixels_has_no_instance(models):
    finder = PoseFinder(models['YOLOX-Pose'], **RESIZE, sigmas=SIGMAS).eval()
    batch = batch_of(IMAGES[:2])
    batch['inputs'][0] = torch.zeros(3, 0, 0, dtype=torch.uint8)

    none, some = finder.test_step(batch)

    assert len(none.pred_instances) == 0 < len(some.pred_instances)


def test_folding_and_channels_last_change_rounding_alone(models):
    for name in ('RTMO', 'DEKR'):
        (one,) = find(copy.deepcopy(models[name]), IMAGES[:1], channels_last=True)
        (other,) = find(models[name], IMAGES[:1], fold_batch_norm=False)
        np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-2)


@NEEDS_FULL_TORCH
def test_half_precision_is_that_of_backbone_and_neck(models):
    (one,) = find(models['CID'], IMAGES[:1])
    (half,) = find(models['CID'], IMAGES[:1], precision='bfloat16')

    assert half.keypoints.dtype == np.float32
    assert np.abs(half.bbox_scores[0] - one.bbox_scores[0]) < 0.05


def test_the_settings_that_decide_labels_are_told(models):
    views = dict(resolutions=(1.0, 1.5), flip=True, score_floor=0.02)
    finder = PoseFinder(models['RTMO'], **RESIZE, **views)

    told = finder.provenance()

    assert told['views'] == ['1', '1 flipped', '1 at 1.5', '1 at 1.5 flipped']
    assert (told['instance_score'], told['least_score']) == ('bbox', 0.02)
    assert told['input_size'] == [64, 64]
    assert 'box_margins' not in told
    assert 'box_margins' in PoseFinder(models['CID'], **RESIZE).provenance()
    assert finder.views_per_box == 4
    # 1.5 of 64 pixels are 96.
    assert finder.work_per_box == 2 + 2 * 1.5**2
    assert finder.num_keypoints == 3


@pytest.mark.parametrize(
    ('name', 'finder', 'rule', 'has_boxes'),
    [
        ('RTMO', OneStageFinder, 'bbox', True),
        ('YOLOX-Pose', OneStageFinder, 'bbox', True),
        ('DEKR', CenterFinder, 'keypoint', False),
        ('CID', CenterFinder, 'keypoint', False),
        ('AE', TagFinder, 'bbox', False),
    ],
)
def test_a_family_has_its_finder(name, finder, rule, has_boxes):
    found = finder_class(finder_config(name))

    assert found is finder
    assert (found.score_mode, found.has_boxes) == (rule, has_boxes)
    assert finds_instances(finder_config(name))
    assert not finds_instances(dict(type='TopdownPoseEstimator'))


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(resolutions=(1.0, 1.01)), 'resolutions 1 and 1.01 are both .* 64x64'),
        (dict(resolutions=()), 'at least one resolution'),
        (dict(match_thr=2), 'match_thr must be from 0 to 1, got 2'),
        (dict(input_size=(60, 64)), r'BottomupResize: .* multiples of size_factor=16'),
        (dict(resize_mode='pad'), r'BottomupResize: mode must be one of'),
        (dict(flip='no'), 'flip must be True or False'),
        (dict(precision='int8'), 'precision must be one of'),
    ],
)
def test_settings_that_cannot_be_are_refused(models, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        PoseFinder(models['YOLOX-Pose'], **{**RESIZE, **settings})


def test_teachers_that_score_otherwise_are_refused(models):
    other = dict(module=models['CID'], name='cid.py', **RESIZE)

    with pytest.raises(UserError, match=r'cid\.py: .* score instances alike, got bbox'):
        PoseFinder(models['YOLOX-Pose'], **RESIZE, ensemble=[other])


def test_heads_that_are_not_known_are_refused_by_name():
    model = dict(type='BottomupPoseEstimator', head=dict(type='mmpose.HeatmapHead'))

    with pytest.raises(UserError, match=r'instances that HeatmapHead finds .* RTMO'):
        finder_class(model)
    with pytest.raises(UserError, match=r'RTMOHead needs model\.test_cfg\.nms_thr'):
        build_finder(build_finder_model('RTMO', nms_thr=1.0))


def test_partners_of_other_keypoints_are_refused(models):
    finder = PoseFinder(models['CID'], **RESIZE).eval()
    batch = batch_of(IMAGES[:1])
    batch['data_samples'][0].set_metainfo(dict(flip_indices=[0, 1]))

    with pytest.raises(UserError, match='each of the 3 keypoints of the model, got 2'):
        finder.test_step(batch)


def test_lists_of_views_are_refused(models):
    finder = PoseFinder(models['CID'], **RESIZE).eval()

    with pytest.raises(UserError, match='without TestTimeAug'):
        finder.test_step(dict(inputs=[], data_samples=[[]]))
