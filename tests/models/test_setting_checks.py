"""Tests of what the fusing wrapper refuses."""

import numpy as np
import pytest
import torch

from mmdistill.errors import UserError
from mmdistill.models import HeatmapFusionTTA

FLIP_INDICES = [0, 2, 1]


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(fusion='median'), r"fusion must be one of .*, got 'median'"),
        (dict(fusion=['mean']), r"fusion must be one of .*, got \['mean'\]"),
        (dict(forward_batch_size=0), 'forward_batch_size must be at least 1, got 0'),
        (dict(forward_batch_size=2.5), 'forward_batch_size .* got 2.5'),
        (dict(forward_batch_size='8'), "forward_batch_size .* got '8'"),
        (dict(padding=0), 'padding must be a positive number, got 0'),
        (dict(padding=float('nan')), 'padding must be a positive number, got nan'),
        (dict(padding='1.25'), "padding must be a positive number, got '1.25'"),
        (dict(flip='no'), "flip must be True or False, got 'no'"),
        (dict(size_dependent=[0]), r'size_dependent must be .* got \[0\]'),
        (dict(compile='default'), "compile must be True or False, got 'default'"),
        (dict(scales=1.0), 'views: a scale must be a number in a list, got 1.0'),
        (dict(size_dependent=True, small_area='x'), 'views: small_area .* must be'),
    ],
)
def test_an_invalid_setting_is_refused(make_estimator, settings, message):
    with pytest.raises(UserError, match=message):
        HeatmapFusionTTA(make_estimator(), **settings)


@pytest.mark.parametrize(
    ('shape', 'told'),
    [((1, 9, 9), r'\(1, 9, 9\)'), ((9, 9), r'\(9, 9\)'), ((3, 0, 9), r'\(3, 0, 9\)')],
)
def test_an_image_of_another_shape_is_refused(make_estimator, shape, told):
    box = np.array([[1, 1, 8, 8]], dtype=np.float32)
    with pytest.raises(UserError, match=f'the shape .*, got {told}'):
        HeatmapFusionTTA(make_estimator()).fuse(
            [torch.zeros(shape)], [box], FLIP_INDICES
        )


def test_an_image_without_boxes_may_be_empty(make_estimator):
    nothing = np.zeros((0, 4), dtype=np.float32)
    poses = HeatmapFusionTTA(make_estimator()).fuse(
        [torch.zeros(3, 0, 0)], [nothing], FLIP_INDICES
    )
    assert len(poses) == 0
