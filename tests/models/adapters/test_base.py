"""Tests of decoding a fused output as the head decodes its own."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmdistill.models.adapters.base import decode_with


class Head:
    """Decodes to what it was made with."""

    def __init__(self, instances):
        self.instances = instances

    def decode(self, fused):
        assert fused is FUSED
        return self.instances


FUSED = torch.zeros(1)


def instance(value, **more):
    return InstanceData(
        keypoints=np.full((1, 4, 3), value, dtype=np.float64),
        keypoint_scores=np.full((1, 4), value / 10, dtype=np.float64),
        **more,
    )


def test_instances_are_stacked_and_coordinates_are_two():
    poses = decode_with(Head([instance(1.0), instance(2.0)]), FUSED)
    assert poses.keypoints.shape == (2, 4, 2)
    assert poses.keypoints[:, 0, 0].tolist() == [1, 2]
    np.testing.assert_allclose(poses.keypoint_scores[:, 0], [0.1, 0.2])


def test_scores_are_visibility_where_the_head_predicts_none():
    poses = decode_with(Head([instance(1.0)]), FUSED)
    assert np.array_equal(poses.keypoints_visible, poses.keypoint_scores)


@pytest.mark.parametrize('value', [0.0, 0.75])
def test_visibility_is_that_of_the_head_where_it_predicts_it(value):
    visible = np.full((1, 4), value)
    poses = decode_with(Head([instance(1.0, keypoints_visible=visible)]), FUSED)
    assert np.array_equal(poses.keypoints_visible, visible)
    assert poses.keypoints_visible.dtype == np.float32
