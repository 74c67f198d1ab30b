"""What a one-stage head learns of a keypoint's visibility."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpose.codecs import YOLOXPoseAnnotationProcessor

from mmdistill.datasets import PoseAnnotationProcessor
from mmdistill.datasets.sample_tags import MARK

WEIGHTS = 'keypoints_visible_weights'


def instances(count=3, keypoints=4):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 20, (count, 2))
    return dict(
        keypoints=rng.uniform(0, 60, (count, keypoints, 2)).astype(np.float32),
        keypoints_visible=np.float32(rng.uniform(size=(count, keypoints)) > 0.4),
        bbox=np.concatenate([low, low + 30], axis=1).astype(np.float32),
        category_id=np.ones(count, dtype=np.int64),
    )


@pytest.mark.parametrize('pseudo', [True, False, None])
def test_boxes_and_labels_are_those_of_the_host(pseudo):
    for expand in (True, False):
        ours = PoseAnnotationProcessor(expand).encode(**instances(), pseudo=pseudo)
        theirs = YOLOXPoseAnnotationProcessor(expand).encode(**instances())
        assert ours.keys() - {WEIGHTS} == theirs.keys()
        for key, value in theirs.items():
            assert np.array_equal(ours[key], value)


def packed(codec, visible, **more):
    init_default_scope('mmpose')
    info = dict(instances(), img=np.zeros((64, 64, 3), np.uint8), **more)
    info.update(
        keypoints_visible=visible,
        dataset_keypoint_weights=np.ones(4),
        area=np.ones(3),
        img_shape=(64, 64),
    )
    steps = [
        dict(type='GenerateTarget', encoder=dict(type=codec)),
        dict(type='PackPoseInputs'),
    ]
    return Compose(steps)(info)['data_samples'].gt_instance_labels


def test_weights_of_pseudo_labels_reach_the_head_and_the_host_drops_them():
    seen = instances()['keypoints_visible']
    weights = np.float32(np.arange(12).reshape(3, 4) % 2)
    both = np.stack([seen, weights], axis=2)

    ours = packed('mmdistill.PoseAnnotationProcessor', both.copy(), **{MARK: True})
    theirs = packed('YOLOXPoseAnnotationProcessor', both.copy(), **{MARK: True})

    assert np.array_equal(ours[WEIGHTS], weights)
    assert np.array_equal(ours.keypoints_visible, seen)
    assert WEIGHTS not in theirs


def test_other_samples_are_learned_as_with_the_host():
    """Also those whose keypoints were converted, which brings weights along."""
    seen = instances()['keypoints_visible']
    for visible in (seen, np.stack([seen, np.zeros_like(seen)], axis=2)):
        labels = packed('mmdistill.PoseAnnotationProcessor', visible.copy())
        # The head takes ones where there are none.
        assert labels[WEIGHTS].eq(1).all()
        assert np.array_equal(labels.keypoints_visible, seen)
