"""Tests of mirror partners and sigmas where a model has its own keypoints."""

from types import SimpleNamespace

import pytest
import torch
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.errors import UserError
from mmdistill.functional.scoring import UNKNOWN_SIGMA
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.keypoints import (
    flip_indices_of,
    sigmas_of,
    swap_left_right,
)


def test_partners_are_those_of_the_data_set():
    module = SimpleNamespace(metainfo=None)
    assert flip_indices_of(module, dict(flip_indices=[1, 0])) == [1, 0]


def test_the_metainfo_of_the_model_overrides_the_data_sets():
    module = SimpleNamespace(metainfo=dict(flip_indices=[0, 2, 1]))
    assert flip_indices_of(module, dict(flip_indices=[1, 0])) == [0, 2, 1]


def test_values_are_swapped_with_their_partners():
    values = torch.arange(6).reshape(1, 3, 2)
    assert swap_left_right(values, [0, 2, 1]).tolist() == [[[0, 1], [4, 5], [2, 3]]]


def test_partners_of_other_keypoints_are_refused():
    with pytest.raises(UserError, match=r'each of the 3 keypoints .* got 2'):
        swap_left_right(torch.zeros(1, 3), [1, 0])


def test_sigmas_of_all_keypoints_are_taken():
    assert sigmas_of([0.1, 0.2], [1], 2) == [0.1, 0.2]


def test_sigmas_of_the_returned_keypoints_are_assigned_to_them():
    assert sigmas_of([0.1, 0.2], [2, 0], 3) == [0.2, UNKNOWN_SIGMA, 0.1]


@pytest.mark.parametrize('wrong', [0.0, -0.1])
def test_sigmas_that_are_not_positive_are_refused(wrong):
    with pytest.raises(UserError, match=f'sigmas must be positive, got {wrong}'):
        sigmas_of([0.1, wrong], None, 2)


def test_unknown_sigmas_are_those_of_cocos_wrists():
    metainfo = parse_pose_metainfo(CocoDataset.METAINFO)
    wrist = metainfo['keypoint_name2id']['left_wrist']
    assert sigmas_of(None, None, 2) == [UNKNOWN_SIGMA] * 2
    assert metainfo['sigmas'][wrist] == pytest.approx(UNKNOWN_SIGMA)


@pytest.mark.parametrize('kept', [None, [0, 1, 2]])
def test_another_number_of_sigmas_is_refused(kept):
    with pytest.raises(UserError, match='got 2 for 4 keypoints'):
        sigmas_of([0.1, 0.2], kept, 4)


@pytest.fixture
def predict_kept(make_estimator, some_images, pack):
    """Fused poses of a model of three keypoints of which two are given out."""

    def predict(metainfo=None, **options):
        estimator = make_estimator()
        estimator.test_cfg = dict(output_keypoint_indices=[2, 0])
        estimator.metainfo = metainfo
        data = pack(some_images.images[0], some_images.boxes[0])
        data['data_samples'].set_metainfo(dict(flip_indices=[1, 0]))
        data = {key: [value] for key, value in data.items()}
        wrapper = HeatmapFusionTTA(estimator, sigmas=[0.05, 0.1], **options)
        (sample,) = wrapper.test_step(data)
        return sample.pred_instances

    return predict


def test_keypoints_that_are_given_out_are_fused_without_flip(predict_kept, some_images):
    found = predict_kept(flip=False)
    true = some_images.keypoints[0][:, [2, 0]]
    assert abs(found.keypoints - true).max() < 3
    assert found.keypoint_agreement.shape == true.shape[:2]


def test_with_flip_they_need_the_metainfo_of_the_model(predict_kept, some_images):
    with pytest.raises(UserError, match='metainfo of the model'):
        predict_kept(flip=True)
    # The picture has a channel for each keypoint, which a mirror does not swap.
    found = predict_kept(dict(flip_indices=[0, 1, 2]), flip=True)
    true = some_images.keypoints[0][:, [2, 0]]
    assert abs(found.keypoints - true).max() < 3
