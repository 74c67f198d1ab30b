import numpy as np
import pytest

from mmdistill.toy.pose import KEYPOINT_NAMES, sample_pose


@pytest.fixture
def pose():
    return sample_pose(np.random.default_rng(3))


def joint(pose, name):
    return pose.keypoints[KEYPOINT_NAMES.index(name)]


def test_names_are_those_of_mmpose():
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    meta = parse_pose_metainfo({'from_file': 'configs/_base_/datasets/coco.py'})
    assert list(KEYPOINT_NAMES) == [
        meta['keypoint_id2name'][number] for number in range(17)
    ]


@pytest.mark.parametrize('seed', range(20))
@pytest.mark.parametrize('name', ['hip', 'shoulder', 'eye', 'ear'])
def test_left_joints_of_the_body_lie_towards_larger_x(seed, name):
    pose = sample_pose(np.random.default_rng(seed))
    assert joint(pose, f'left_{name}')[0] > joint(pose, f'right_{name}')[0]


def test_pelvis_is_the_origin(pose):
    hips = joint(pose, 'left_hip') + joint(pose, 'right_hip')
    assert hips == pytest.approx([0, 0])


def test_conversion_to_pixels_moves_the_pelvis_and_scales_every_bone(pose):
    in_pixels = pose.to_pixels(np.array([30.0, 50.0]), 120.0, 0.4)
    hips = (joint(in_pixels, 'left_hip') + joint(in_pixels, 'right_hip')) / 2
    assert hips == pytest.approx([30, 50])
    bones = np.diff(pose.keypoints, axis=0), np.diff(in_pixels.keypoints, axis=0)
    small, large = (np.hypot(*bone.T) for bone in bones)
    assert large == pytest.approx(120 * small)


def test_convention_positive_roll_turns_x_towards_y(pose):
    in_pixels = pose.to_pixels(np.zeros(2), 1.0, np.pi / 2)
    x, y = pose.keypoints.T
    assert in_pixels.keypoints == pytest.approx(np.stack([-y, x], axis=1))


def test_the_ear_behind_a_turned_head_is_hidden():
    for seed in range(40):
        pose = sample_pose(np.random.default_rng(seed))
        left, right = pose.hidden[[3, 4]]
        turned_left = joint(pose, 'nose')[0] > pose.head[0]
        assert not (left and right)
        assert not (right if turned_left else left)
