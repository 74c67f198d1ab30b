"""What is written where boxes are found or given: up to where two poses are two."""

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.recipes.keypoints import describe_keypoints
from mmdistill.recipes.request import RecipeRequest
from mmdistill.recipes.requested_boxes import box_entries, closest_poses
from tests.helpers.recipe_data import read_labels


@pytest.fixture
def labeled(tmp_path):
    """Six mice, each alone on its image."""
    return read_labels(tmp_path)


def on_one_image(labeled, shifts):
    """As many copies of the first mouse on one image, moved by pixels in x."""
    number = len(shifts)
    moved = np.stack([np.array(shifts), np.zeros(number)], axis=-1)
    return replace(
        labeled,
        points=np.repeat(labeled.points[:1], number, axis=0) + moved[:, None],
        visible=np.repeat(labeled.visible[:1], number, axis=0),
        boxes=np.repeat(labeled.boxes[:1], number, axis=0)
        + np.pad(moved, ((0, 0), (0, 2))),
        trained_images=(0,) * number,
    )


def test_poses_are_as_alike_as_oks_says(labeled):
    keypoints = describe_keypoints(labeled)
    assert len(closest_poses(labeled, keypoints)) == 0  # no mouse has another one
    pair = on_one_image(labeled, [0.0, 3.0])
    area = 0.53 * pair.boxes[0, 2] * pair.boxes[0, 3]
    variances = (2 * np.array(keypoints.sigmas)) ** 2
    expected = np.exp(-(3.0**2) / (2 * area * variances)).mean()
    assert closest_poses(pair, keypoints) == pytest.approx([expected] * 2, rel=1e-6)
    three = on_one_image(labeled, [0.0, 3.0, 500.0])
    alike = closest_poses(three, keypoints)
    assert alike == pytest.approx([expected, expected, 0.0], abs=1e-6)


@pytest.mark.parametrize(
    ('shifts', 'thr'), [([0.0, 500.0], 0.5), ([0.0, 0.0], 0.9), (None, 0.5)]
)
def test_candidates_may_be_as_alike_as_labels_are(labeled, tmp_path, shifts, thr):
    """Within 0.5 and the labeling's own 0.9."""
    shown = labeled if shifts is None else on_one_image(labeled, shifts)
    request = RecipeRequest(
        name='mice', labeled=labeled.path, unlabeled=('x',), detector='d.py'
    )
    entries, _ = box_entries(request, shown, describe_keypoints(labeled))
    assert entries['labeling']['nms_thr'].value == thr
    assert entries['labeling']['refit_boxes'].value is True
    given = replace(request, detector=None, boxes=tmp_path / 'boxes.json')
    entries, unlabeled = box_entries(given, shown, describe_keypoints(labeled))
    assert entries['labeling'].keys() == {'nms_thr'}
    assert entries['labeling']['nms_thr'].value == thr
    assert unlabeled == dict(bbox_file=(tmp_path / 'boxes.json').as_posix())
    none = replace(request, detector=None)
    assert box_entries(none, shown, describe_keypoints(labeled)) == ({}, {})


def test_boxes_are_not_fitted_where_labeled_ones_do_not_follow_their_poses(labeled):
    """Boxes that lie elsewhere around each pose say nothing of margins."""
    request = RecipeRequest(
        name='mice', labeled=labeled.path, unlabeled=('x',), detector='d.py'
    )
    keypoints = describe_keypoints(labeled)
    apart = labeled.boxes.copy()
    apart[:, 0] += np.arange(len(apart)) * apart[:, 2]
    entries, _ = box_entries(request, replace(labeled, boxes=apart), keypoints)
    assert entries['labeling'].keys() == {'nms_thr'}
    entries, _ = box_entries(request, labeled, keypoints)
    assert entries['labeling'].keys() == {'nms_thr', 'refit_boxes'}
