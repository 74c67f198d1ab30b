"""Samples of whole-body sets meet keypoint converters."""

import copy

import numpy as np
import pytest
from mmpose.datasets.transforms import KeypointConverter

from mmdistill.datasets import DropNoneValues

MAPPING = [(0, 0), (1, 2)]


@pytest.fixture
def sample():
    return dict(
        keypoints=np.float32([[[3, 4], [5, 6]]]),
        keypoints_visible=np.ones((1, 2), np.float32),
    )


def test_a_converter_gives_what_it_gives_without_the_key(sample):
    """MMPose's whole-body sets set it to None, at which the converter stops."""
    convert = KeypointConverter(num_keypoints=3, mapping=MAPPING)
    whole_body = dict(copy.deepcopy(sample), keypoints_3d=None)
    with pytest.raises(AttributeError):
        convert(copy.deepcopy(whole_body))

    converted = convert(DropNoneValues(['keypoints_3d'])(whole_body))

    expected = convert(sample)
    assert converted.keys() == expected.keys()
    np.testing.assert_array_equal(converted['keypoints'], expected['keypoints'])


def test_a_value_stays(sample):
    sample['keypoints_3d'] = np.zeros((1, 2, 3))

    kept = DropNoneValues(['keypoints_3d', 'absent'])(dict(sample, other=None))

    assert kept.keys() == {*sample, 'other'}
