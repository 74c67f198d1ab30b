import cv2
import numpy as np
import pytest

from mmdistill.toy.figure import draw_figure, sample_outfit
from mmdistill.toy.pose import sample_pose

GRAY = np.full((160, 160, 3), 128, np.uint8)


def drawn(seed):
    rng = np.random.default_rng(seed)
    pose = sample_pose(rng).to_pixels(np.array([80.0, 85.0]), 110.0, 0.2)
    image = GRAY.copy()
    return image, pose, draw_figure(image, pose, sample_outfit(rng))


@pytest.mark.parametrize('seed', range(10))
def test_every_joint_in_sight_lies_on_the_figure(seed):
    _, pose, silhouette = drawn(seed)
    x, y = np.round(pose.keypoints[~pose.hidden]).astype(int).T
    assert silhouette[y, x].all()


def test_nothing_changes_away_from_the_silhouette():
    image, _, silhouette = drawn(0)
    near = cv2.dilate(silhouette, np.ones((3, 3), np.uint8)) > 0
    assert (image[~near] == 128).all()


def test_outfits_differ():
    one, other = (drawn(seed)[0] for seed in (1, 2))
    assert (one != other).any()
