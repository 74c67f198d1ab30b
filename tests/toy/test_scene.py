import numpy as np
import pytest

from mmdistill.toy.pose import sample_pose
from mmdistill.toy.scene import (
    OCCLUDED,
    OUT_OF_IMAGE,
    VISIBLE,
    _cover,
    _Drawn,
    _ground_truth,
    sample_scene,
)


@pytest.fixture(scope='module')
def scenes():
    return [sample_scene(np.random.default_rng((9, seed))) for seed in range(60)]


@pytest.fixture
def drawn():
    """A figure whose silhouette is the left half of a 100 x 100 image."""
    pose = sample_pose(np.random.default_rng(3)).to_pixels(np.array([50, 50]), 80, 0)
    silhouette = np.zeros((100, 100), np.uint8)
    silhouette[10:90, :50] = 255
    return _Drawn(pose, silhouette, np.zeros_like(silhouette))


def test_a_scene_is_the_same_for_the_same_seed():
    one, other = (sample_scene(np.random.default_rng(5))[0] for _ in range(2))
    assert (one == other).all()


def test_some_images_hold_nobody_and_some_hold_several(scenes):
    counts = np.array([len(figures) for _, figures in scenes])
    assert 0.03 < (counts == 0).mean() < 0.35
    assert (counts >= 2).mean() > 0.3
    assert counts.max() <= 4


def test_all_three_visibilities_occur(scenes):
    flags = np.concatenate([f.visible for _, figures in scenes for f in figures])
    assert set(flags) == {OUT_OF_IMAGE, OCCLUDED, VISIBLE}
    assert (flags == VISIBLE).mean() > 0.6


def test_visible_joints_lie_in_the_box(scenes):
    for _, figures in scenes:
        for figure in figures:
            x, y, width, height = figure.bbox
            joints = np.round(figure.keypoints[figure.visible == VISIBLE])
            assert (joints >= [x, y]).all()
            assert (joints < [x + width, y + height]).all()


def test_box_and_area_are_those_of_the_silhouette(drawn):
    truth = _ground_truth(drawn)
    assert truth.bbox.tolist() == [0, 10, 50, 80]
    assert truth.area == 50 * 80


def test_joints_under_a_later_shape_are_occluded(drawn):
    later = np.zeros_like(drawn.silhouette)
    later[:, 50:] = 255
    _cover([drawn], later)
    truth = _ground_truth(drawn)
    x, y = np.floor(drawn.pose.keypoints + 0.5).T
    inside = (x >= 0) & (x < 100) & (y >= 0) & (y < 100)
    expected = np.where((x >= 50) | drawn.pose.hidden, OCCLUDED, VISIBLE)
    assert truth.visible.tolist() == np.where(inside, expected, OUT_OF_IMAGE).tolist()


def test_joints_beyond_the_border_are_flagged(drawn):
    drawn.pose.keypoints[9] = [-0.6, 40]
    drawn.pose.keypoints[10] = [99.6, 40]
    assert _ground_truth(drawn).visible[[9, 10]].tolist() == [OUT_OF_IMAGE] * 2
