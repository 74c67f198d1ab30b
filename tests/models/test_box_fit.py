"""Boxes fitted around poses: the second look against both looks by hand."""

import numpy as np
import pytest
import torch

from mmdistill.functional.box_fit import BoxFit
from mmdistill.models import HeatmapFusionTTA
from tests.helpers.fusable_heads import FUSABLE, INTEGRAL, resnet_with

SCALES = (0.8, 1.0, 1.25)
MARGINS = (0.2, 0.3, 0.4, 0.5)
ALWAYS = BoxFit(MARGINS, least=2, score_thr=-np.inf)


def predictions(wrapper, items):
    """What the wrapper predicts of packed images."""
    batch = {key: [item[key] for item in items] for key in items[0]}
    return [sample.pred_instances for sample in wrapper.test_step(batch)]


def fitted(keypoints, width, height, margins):
    """The box around keypoints (K, 2), coordinate by coordinate."""
    xs, ys = zip(*keypoints.tolist(), strict=True)
    diagonal = ((max(xs) - min(xs)) ** 2 + (max(ys) - min(ys)) ** 2) ** 0.5
    left, top, right, bottom = (margin * diagonal for margin in margins)
    box = (min(xs) - left, min(ys) - top, max(xs) + right, max(ys) + bottom)
    bounds = (width, height, width, height)
    return [
        round(min(max(side, 0), bound) * 64) / 64
        for side, bound in zip(box, bounds, strict=True)
    ]


def two_looks(estimator, image, box, margins=MARGINS, **views):
    """One view and its mirror image, the box by hand, then all views."""
    height, width = image.shape[:2]
    pixels = [torch.from_numpy(image).permute(2, 0, 1)]
    first = HeatmapFusionTTA(estimator, flip=views.get('flip', True))
    (found,) = first.fuse(pixels, [box[None]], [0, 2, 1]).keypoints
    new = np.array([fitted(found, width, height, margins)], dtype=np.float32)
    return new, HeatmapFusionTTA(estimator, **views).fuse(pixels, [new], [0, 2, 1])


def whole(image):
    return np.array([0, 0, image.shape[1], image.shape[0]], dtype=np.float32)


@pytest.mark.parametrize('flip', [True, False])
def test_all_views_are_seen_in_the_box_around_what_one_view_showed(
    make_estimator, some_images, pack, flip
):
    image = some_images.images[1]
    views = dict(scales=SCALES, flip=flip)
    wrapper = HeatmapFusionTTA(make_estimator(), **views)
    wrapper.box_fit = ALWAYS

    (ours,) = predictions(wrapper, [pack(image, whole(image)[None])])

    box, poses = two_looks(make_estimator(), image, whole(image), **views)
    assert ours.bboxes.tolist() == box.tolist()
    np.testing.assert_allclose(ours.keypoints, poses.keypoints, atol=1e-4)
    np.testing.assert_allclose(ours.keypoint_scores, poses.keypoint_scores, atol=1e-6)
    np.testing.assert_allclose(ours.keypoint_agreement, poses.keypoint_agreement)
    assert ours.bbox_scores.tolist() == pytest.approx([0.9])


def test_a_small_person_on_a_large_image_is_labeled_more_exactly(
    make_estimator, draw_person, pack
):
    keypoints = np.array([[520.0, 300], [560, 330], [535, 360]])
    image = draw_person(np.zeros((700, 900, 3)), keypoints, sigma=9)
    image = image.clip(0, 255).round().astype(np.uint8)
    item = pack(image, whole(image)[None])
    wrapper = HeatmapFusionTTA(make_estimator(), SCALES, flip=False)
    (once,) = predictions(wrapper, [item])
    wrapper.box_fit = BoxFit((0.5,) * 4, least=2, score_thr=0.1)

    (twice,) = predictions(wrapper, [item])

    errors = [np.linalg.norm(p.keypoints[0] - keypoints, axis=1) for p in (once, twice)]
    assert errors[1].max() < 0.5
    assert errors[1].mean() < errors[0].mean() / 2


@pytest.mark.parametrize('head_type', FUSABLE)
def test_every_family_of_heads_predicts_twice(head_type, some_images, pack):
    torch.manual_seed(0)
    estimator = resnet_with(head_type, FUSABLE[head_type][0]).eval()
    image = some_images.images[0]
    wrapper = HeatmapFusionTTA(estimator, scales=(1.0, 1.25))
    # Random weights of an integral all but agree on the middle of the crop, those of
    # other heads scatter over all of it.
    share = 50 if FUSABLE[head_type][0] is INTEGRAL else -0.05
    margins = (share, 1.1 * share, 1.2 * share, 1.3 * share)
    wrapper.box_fit = BoxFit(margins, least=2, score_thr=-np.inf)

    (ours,) = predictions(wrapper, [pack(image, whole(image)[None])])

    views = dict(scales=(1.0, 1.25))
    box, poses = two_looks(estimator, image, whole(image), margins, **views)
    assert (box != whole(image)).any()
    np.testing.assert_allclose(ours.bboxes, box, atol=1 / 64)
    np.testing.assert_allclose(ours.keypoints, poses.keypoints, atol=0.1)


def test_boxes_whose_poses_are_not_sure_are_seen_as_they_are(
    make_estimator, some_images, pack
):
    items = [
        pack(image, boxes)
        for image, boxes in zip(some_images.images, some_images.boxes, strict=True)
    ]
    wrapper = HeatmapFusionTTA(make_estimator(), SCALES)
    once = predictions(wrapper, items)
    wrapper.box_fit = BoxFit(MARGINS, least=4)  # of three keypoints

    twice = predictions(wrapper, items)

    for before, after in zip(once, twice, strict=True):
        assert (after.bboxes == before.bboxes).all()
        assert (after.keypoints == before.keypoints).all()


def test_images_with_and_without_boxes_keep_theirs_apart(
    make_estimator, some_images, pack
):
    boxes = [some_images.boxes[0], np.zeros((0, 4), np.float32), some_images.boxes[1]]
    images = [some_images.images[i] for i in (0, 1, 1)]
    wrapper = HeatmapFusionTTA(make_estimator())
    wrapper.box_fit = ALWAYS
    items = [pack(*each) for each in zip(images, boxes, strict=True)]

    together = predictions(wrapper, items)

    assert [len(each) for each in together] == [2, 0, 1]
    for item, found in zip(items, together, strict=True):
        (alone,) = predictions(wrapper, [item])
        np.testing.assert_allclose(found.bboxes, alone.bboxes, atol=1 / 64)


def test_only_keypoints_that_the_model_gives_out_are_inside(
    make_estimator, draw_person, pack
):
    keypoints = np.array([[100.0, 100], [140, 130], [350, 250]])
    image = draw_person(np.zeros((300, 400, 3)), keypoints, sigma=8)
    image = image.clip(0, 255).round().astype(np.uint8)
    estimator = make_estimator()
    estimator.test_cfg = dict(output_keypoint_indices=[0, 1])
    wrapper = HeatmapFusionTTA(estimator, flip=False)
    wrapper.box_fit = BoxFit((0.0,) * 4, least=2, score_thr=0.1)

    (found,) = predictions(wrapper, [pack(image, whole(image)[None])])

    np.testing.assert_allclose(found.bboxes, [[100, 100, 140, 130]], atol=4)


def test_the_first_pass_is_counted_and_recorded(make_estimator):
    wrapper = HeatmapFusionTTA(make_estimator(), SCALES)
    before = wrapper.provenance()
    assert wrapper.views_per_box == 6

    wrapper.box_fit = ALWAYS

    assert wrapper.views_per_box == 8
    assert wrapper.provenance() == {**before, 'box_fit': ALWAYS.as_json()}
