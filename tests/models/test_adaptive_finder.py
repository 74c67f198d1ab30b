"""Whole images whose first views agree are shown in no others."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmdistill.errors import ConfigError
from mmdistill.functional.adaptive_views import AdaptiveRule
from mmdistill.functional.pose_matching import ViewPoses
from mmdistill.functional.view_plan import ViewPlan, make_views
from mmdistill.models import PoseFinder
from mmdistill.models.image_runs import ImageRun
from tests.helpers.finder_models import (
    RESIZE,
    SIGMAS,
    batch_of,
    build_finder_model,
    noise_image,
)

IMAGES = [noise_image((90, 60)), noise_image((64, 64), 1), noise_image((48, 84), 2)]
FAMILIES = ['YOLOX-Pose', 'CID']
FIELDS = ('keypoints', 'keypoint_scores', 'keypoint_agreement', 'bboxes', 'bbox_scores')
WHOLE = dict(resolutions=(1.0, 1.5), flip=True)
CHANNELS = dict(channels_last=False, fold_batch_norm=False)


@pytest.fixture(scope='module', params=FAMILIES)
def model(request):
    return build_finder_model(request.param)


def make_finder(model, **views):
    return PoseFinder(model, **{**RESIZE, **CHANNELS, 'sigmas': SIGMAS, **views}).eval()


def find(model, images=IMAGES, **views):
    samples = make_finder(model, **views).test_step(batch_of(images))
    return [sample.pred_instances for sample in samples]


def assert_same(ours, others, **tolerance):
    for one, other in zip(ours, others, strict=True):
        assert len(one) == len(other) > 0
        for name in FIELDS:
            np.testing.assert_allclose(one[name], other[name], **tolerance)


def test_a_rule_that_no_image_meets_shows_all_views(model):
    adaptive = find(model, **WHOLE, adaptive=1.0, adaptive_groups=(2,))

    assert_same(adaptive, find(model, **WHOLE), atol=1e-3)
    for found in adaptive:
        assert set(found.num_views.tolist()) == {4}


def test_a_rule_that_all_images_meet_shows_the_first_views_alone(model):
    adaptive = find(model, **WHOLE, adaptive=0.0, adaptive_groups=(2,))

    assert_same(adaptive, find(model, resolutions=(1.0,), flip=True), atol=0)
    for found in adaptive:
        assert set(found.num_views.tolist()) == {2}


class Drifting:
    """Teacher whose pose in a view is off by a number of pixels of the image's own.

    That number is its first pixel; 255 has no pose, 254 one that is not finite.
    """

    finder = SimpleNamespace(has_boxes=True, score_mode='bbox')

    def __init__(self):
        self.module = torch.nn.Identity()
        self.shown = []

    def refresh_if_changed(self):
        pass

    def show(self, images, metainfo, views, batch_size, device):
        for number, image in enumerate(images):
            for view in views:
                drift = int(image[0, 0, 0])
                self.shown.append(drift)
                at = 20 + drift * view.flip * np.ones((int(drift < 255), 3, 2))
                ones = np.ones(len(at))
                boxes = np.tile([10.0, 10, 40, 40], (len(at), 1))
                scores = ones if drift < 254 else ones * np.nan
                whole = ones.astype(np.int64)
                found = ViewPoses(at, at[..., 0] ** 0, boxes, scores, whole, 0 * whole)
                yield number, view, found


@pytest.fixture
def drifting():
    """A run whose first two views are the image and its mirror image."""
    teacher = Drifting()
    plan = ViewPlan(make_views((1.0,), True, resolutions=(1.0, 1.5)))
    rule = AdaptiveRule(0.9, (2,))
    sigmas = np.array(SIGMAS)
    cpu = torch.device('cpu')
    return ImageRun([teacher], plan, 8, cpu, 0.0, sigmas, [0.0] * 4, rule)


def test_an_image_stops_by_its_own_views(drifting):
    drifts = [0, 5, 1, 255, 254]
    images = [np.full((50, 50, 3), drift, dtype=np.uint8) for drift in drifts]

    seen = drifting.show(images, [{}] * len(images))

    assert [len(image.views) for image in seen] == [2, 4, 2, 4, 4]
    shown = drifting.teachers[0].shown
    assert {drift: shown.count(drift) for drift in drifts} == (
        {0: 2, 5: 4, 1: 2, 255: 4, 254: 4}
    )
    numbers = [drifting.fuse(image).num_views.tolist() for image in seen]
    assert numbers == [[2], [4], [2], [], []]
    # What was not shown takes nothing from the score.
    assert drifting.fuse(seen[0]).scores.tolist() == [1.0]


def test_several_teachers_are_shown_the_same_groups(model):
    others = dict(ensemble=[dict(module=model, **RESIZE)], adaptive_groups=(2,))

    two = find(model, **WHOLE, **others, adaptive=0.0)

    for found in two:
        assert set(found.num_views.tolist()) == {4}
    assert_same(
        two, find(model, **WHOLE, adaptive=0.0, adaptive_groups=(2,)), atol=1e-3
    )


def test_the_rule_is_part_of_what_decides_the_labels(model):
    plain = make_finder(model, **WHOLE).provenance()
    ruled = make_finder(model, **WHOLE, adaptive=0.9).provenance()
    assert ruled.pop('adaptive') == {'agreement': 0.9, 'groups': [2, 4]}
    assert ruled == plain


def test_an_agreement_that_cannot_be_is_refused(model):
    with pytest.raises(ConfigError, match='adaptive must be from 0 to 1, got 2'):
        make_finder(model, **WHOLE, adaptive=2)
