"""Frames of whole images are MMPose's own, and so is the way back."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.datasets.transforms import BottomupResize
from mmpose.models import BottomupPoseEstimator
from mmpose.structures import PoseDataSample
from mmpose.structures.bbox import flip_bbox
from mmpose.structures.keypoint import flip_keypoints

from mmdistill.functional.image_frames import ImageFrame, ResizeRule

SIZES = [(64, 48), (48, 64), (61, 37), (200, 31), (7, 90)]
RULES = [
    dict(mode='fit', size_factor=32),
    dict(mode='expand', size_factor=32),
    dict(mode='expand', size_factor=64),
]


def resized(rule: ResizeRule, size: tuple[int, int], side: int) -> dict:
    """What MMPose's transform says of an image, its input being of that side."""
    transform = BottomupResize(
        (side, side), size_factor=rule.size_factor, resize_mode=rule.mode
    )
    width, height = size
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    return transform.transform(dict(img=pixels, ori_shape=(height, width)))


@pytest.mark.parametrize('options', RULES, ids=str)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_a_frame_is_that_of_the_host(options, size):
    rule = ResizeRule((128, 128), **options)

    frame, host = rule.frame(size), resized(rule, size, 128)

    assert frame.size == host['input_size']
    np.testing.assert_array_equal(np.float32(frame.center), host['input_center'])
    np.testing.assert_array_equal(np.float32(frame.extent), host['input_scale'])


@pytest.mark.parametrize('options', RULES, ids=str)
@pytest.mark.parametrize('resolution', [0.5, 0.8, 1.3, 2.0])
def test_a_frame_at_a_resolution_is_that_of_a_larger_input(options, resolution):
    rule = ResizeRule((128, 128), **options)
    step = rule.size_factor
    side = -(-int(128 * resolution) // step) * step

    for size in SIZES:
        frame, host = rule.frame(size, resolution), resized(rule, size, side)
        assert frame.size == host['input_size']
        np.testing.assert_array_equal(np.float32(frame.extent), host['input_scale'])


def test_points_and_boxes_come_back_as_the_host_brings_them():
    rng = np.random.default_rng(3)
    rule = ResizeRule((96, 128), mode='fit', size_factor=32)
    frame = rule.frame((61, 37))
    keypoints = rng.uniform(0, 96, (4, 3, 2)).astype(np.float32)
    boxes = rng.uniform(0, 96, (4, 4)).astype(np.float32)
    sample = PoseDataSample(
        metainfo=dict(
            input_size=frame.size,
            input_center=np.float32(frame.center),
            input_scale=np.float32(frame.extent),
        )
    )
    predicted = InstanceData(
        keypoints=keypoints.copy(), keypoint_scores=keypoints[..., 0], bboxes=boxes
    )

    (host,) = BottomupPoseEstimator.add_pred_to_datasample(
        None, [predicted], None, [sample]
    )

    np.testing.assert_array_equal(
        frame.to_image(keypoints), host.pred_instances.keypoints
    )
    np.testing.assert_array_equal(
        frame.boxes_to_image(boxes), host.pred_instances.bboxes
    )


def test_points_and_boxes_are_mirrored_as_the_host_mirrors_them():
    rng = np.random.default_rng(3)
    frame = ImageFrame((96, 64), center=(48.0, 32.0), extent=(96.0, 64.0))
    keypoints = rng.uniform(0, 64, (4, 3, 2))
    low = rng.uniform(0, 32, (4, 2))
    boxes = np.concatenate([low, low + 20], axis=1)

    ones = np.ones((4, 3))
    mirrored, _ = flip_keypoints(keypoints, ones, (96, 64), [0, 2, 1])

    np.testing.assert_array_equal(frame.mirrored(keypoints, [0, 2, 1]), mirrored)
    np.testing.assert_allclose(
        frame.mirrored_boxes(boxes), flip_bbox(boxes, (96, 64), 'xyxy')
    )


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(mode='pad'), 'one of ..fit., .expand., .rescale.., got pad'),
        (dict(input_size=(100, 96)), r'multiples of size_factor=32, got \(100, 96\)'),
        (dict(input_size=(0, 96)), 'must be positive'),
    ],
)
def test_a_rule_that_cannot_be_is_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ResizeRule(**{'input_size': (96, 96), **settings})
