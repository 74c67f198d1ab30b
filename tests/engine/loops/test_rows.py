"""From a data sample to a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.functional import oks_nms
from mmpose.structures import PoseDataSample

from mmdistill.engine.loops.rows import sample_to_row
from mmdistill.functional.scoring import instance_scores


@pytest.fixture
def sigmas(coco_metainfo):
    """OKS sigmas of the COCO keypoints."""
    return parse_pose_metainfo(coco_metainfo)['sigmas']


def sample_of(found, status='ok', reason=''):
    meta = dict(path='a/b.png', ori_shape=(48, 64), status=status, reason=reason)
    sample = PoseDataSample(metainfo=meta)
    of_the_loop = ('instance_scores', 'category_ids')
    arrays = {k: v for k, v in vars(found).items() if k not in of_the_loop}
    sample.gt_instances = InstanceData(
        bboxes=found.bboxes,
        bbox_scores=found.bbox_scores,
        category_ids=found.category_ids,
    )
    sample.pred_instances = InstanceData(**arrays)
    return sample


def stepped(scores):
    """Scores to a 1024th."""
    return np.float32([round(float(s) * 1024) / 1024 for s in scores.flat]).reshape(
        scores.shape
    )


def doubled(found, shift):
    """Each candidate twice, its double moved by some pixels and scored less."""
    arrays = dict(vars(found))
    twice = {key: np.concatenate([value, value]) for key, value in arrays.items()}
    twice['keypoints'][len(found) :] += np.float32(shift)
    twice['bbox_scores'][len(found) :] *= np.float32(0.9)
    return type(found)(**twice)


def slow_oks(one, other, sigmas):
    """OKS of two poses, keypoint by keypoint."""
    areas = [
        0.53 * (box[2] - box[0]) * (box[3] - box[1])
        for box in (one.bboxes, other.bboxes)
    ]
    terms = [
        np.exp(-((p - q) ** 2).sum() / (2 * (2 * sigma) ** 2 * sum(areas) / 2))
        for p, q, sigma in zip(one.keypoints, other.keypoints, sigmas, strict=True)
    ]
    return sum(terms) / len(terms)


def test_candidates_are_stored_best_first(make_candidates, sigmas):
    found = make_candidates(5)
    row = sample_to_row(sample_of(found), sigmas, 0, 0.9)
    scores = instance_scores(found.bbox_scores, stepped(found.keypoint_scores))
    assert row.candidates.instance_scores.tolist() == sorted(scores, reverse=True)


def test_each_candidate_keeps_what_belongs_to_it(make_candidates, sigmas):
    found = make_candidates(5)
    kept = sample_to_row(sample_of(found), sigmas, 0, 0.9).candidates
    order = np.argsort(-instance_scores(found.bbox_scores, found.keypoint_scores))
    for name in ('bboxes', 'keypoints', 'category_ids'):
        assert np.array_equal(getattr(kept, name), getattr(found, name)[order])
    for name in ('keypoint_scores', 'keypoint_agreement'):
        expected = stepped(getattr(found, name)[order])
        assert np.array_equal(getattr(kept, name), expected)


def test_coordinates_are_stored_to_a_64th_of_a_pixel(make_candidates, sigmas):
    found = make_candidates(1)
    found.keypoints[0, 0] = [10.0079, 10.0077]
    kept = sample_to_row(sample_of(found), sigmas, 0, 0.9).candidates
    assert kept.keypoints[0, 0].tolist() == [10 + 1 / 64, 10]


def test_what_scores_below_the_floor_is_not_stored(make_candidates, sigmas):
    found = make_candidates(20)
    scores = instance_scores(found.bbox_scores, found.keypoint_scores)
    floor = float(np.median(scores))
    row = sample_to_row(sample_of(found), sigmas, floor, 0.9)
    assert len(row.candidates) == (scores >= floor).sum() == 10


@pytest.mark.parametrize('shift', [0.1, 0.5, 1, 2, 4, 30])
def test_of_two_alike_only_the_better_stays(make_candidates, sigmas, shift):
    found = doubled(make_candidates(1), shift)
    alike = slow_oks(found[0], found[1], sigmas) > 0.9
    kept = sample_to_row(sample_of(found), sigmas, 0, 0.9).candidates
    assert len(kept) == (1 if alike else 2)
    assert np.array_equal(kept.keypoints[0], found.keypoints[0])


def test_shifts_of_the_last_test_are_of_both_kinds(make_candidates, sigmas):
    pairs = [doubled(make_candidates(1), shift) for shift in (0.1, 30)]
    near, far = (slow_oks(pair[0], pair[1], sigmas) for pair in pairs)
    assert far < 0.9 < near


@pytest.mark.parametrize('thr', [0.3, 0.6, 0.9])
def test_those_stay_that_mmpose_keeps(make_candidates, sigmas, thr):
    found = doubled(make_candidates(8), 1.0)
    sides = found.bboxes[:, 2:] - found.bboxes[:, :2]
    scores = instance_scores(found.bbox_scores, found.keypoint_scores)
    poses = [
        dict(keypoints=np.column_stack([k, s]), score=score, area=0.53 * w * h)
        for k, s, score, (w, h) in zip(
            found.keypoints, found.keypoint_scores, scores, sides, strict=True
        )
    ]
    expected = oks_nms(poses, thr, np.array(sigmas))
    kept = sample_to_row(sample_of(found), sigmas, 0, thr).candidates
    assert np.array_equal(kept.keypoints, found.keypoints[expected])


def of_categories(found, *categories):
    """The same candidates, of other categories."""
    return replace(found, category_ids=np.array(categories, dtype=np.int32))


def test_alike_ones_of_different_categories_both_stay(make_candidates, sigmas):
    found = of_categories(doubled(make_candidates(1), 0.0), 1, 2)
    kept = sample_to_row(sample_of(found), sigmas, 0, 0.9).candidates
    assert kept.category_ids.tolist() == [1, 2]


def test_categories_are_stored_together_best_first(make_candidates, sigmas):
    found = of_categories(make_candidates(6), 2, 1, 2, 1, 2, 1)
    kept = sample_to_row(sample_of(found), sigmas, 0, 0.9).candidates
    assert len(kept) == 6
    assert np.array_equal(kept.instance_scores, -np.sort(-kept.instance_scores))


@pytest.mark.parametrize('thr', [0.3, 0.6, 0.9])
def test_each_category_keeps_what_it_would_keep_alone(make_candidates, sigmas, thr):
    found = of_categories(doubled(make_candidates(8), 1.0), *[1, 2] * 8)
    kept = sample_to_row(sample_of(found), sigmas, 0, thr).candidates
    for category in (1, 2):
        alone = found[found.category_ids == category]
        expected = sample_to_row(sample_of(alone), sigmas, 0, thr).candidates
        own = kept[kept.category_ids == category]
        assert np.array_equal(own.keypoints, expected.keypoints)


def test_a_row_names_its_image(make_candidates, sigmas):
    row = sample_to_row(sample_of(make_candidates(1)), sigmas, 0, 0.9)
    assert (row.path, row.width, row.height) == ('a/b.png', 64, 48)
    assert (row.status, row.reason) == ('ok', '')


def test_nothing_above_the_floor_is_an_empty_row(make_candidates, sigmas):
    row = sample_to_row(sample_of(make_candidates(3)), sigmas, 9, 0.9)
    assert (row.status, len(row.candidates)) == ('ok', 0)


def test_an_image_without_boxes_is_an_empty_row(make_candidates, sigmas):
    sample = sample_of(make_candidates(0))
    del sample.pred_instances
    row = sample_to_row(sample, sigmas, 0, 0.9)
    assert row.candidates.keypoints.shape == (0, 17, 2)


def test_a_failed_image_is_a_row_with_its_reason(make_candidates, sigmas):
    sample = sample_of(make_candidates(0), 'failed', 'no such file')
    row = sample_to_row(sample, sigmas, 0, 0.9)
    assert (row.status, row.reason) == ('failed', 'no such file')
    assert len(row.candidates) == 0


def test_a_row_says_where_its_image_came_from(make_candidates, sigmas):
    sample = sample_of(make_candidates(1))
    assert sample_to_row(sample, sigmas, 0, 0.9).source == ''
    sample.set_metainfo(dict(source='kitchen'))
    assert sample_to_row(sample, sigmas, 0, 0.9).source == 'kitchen'


@pytest.fixture
def found_sample(make_candidates):
    """A sample whose instances a model found, without any box given."""
    found = make_candidates(3)
    found.bboxes[0] = [-5, -5, 30, 60]
    found.bboxes[1] = [70, 10, 90, 20]
    sample = sample_of(found)
    sample.gt_instances = InstanceData(
        bboxes=np.zeros((0, 4), np.float32), bbox_scores=np.zeros(0, np.float32)
    )
    sample.pred_instances.instance_scores = np.float32([0.5, 0.75, 0.25])
    sample.pred_instances.category_ids = np.int32([3, 1, 1])
    return sample


def test_instances_that_were_found_have_their_own_scores_and_categories(
    found_sample, sigmas
):
    row = sample_to_row(found_sample, sigmas, 0, 1.0)

    assert row.candidates.instance_scores.tolist() == [0.5, 0.25]
    assert row.candidates.category_ids.tolist() == [3, 1]


def test_boxes_that_were_found_lie_on_the_image(found_sample, sigmas):
    row = sample_to_row(found_sample, sigmas, 0, 1.0)

    assert row.candidates.bboxes[0].tolist() == [0, 0, 30, 48]


def test_an_image_on_which_nothing_was_found_has_a_row(found_sample, sigmas):
    found_sample.pred_instances = found_sample.pred_instances[:0]

    row = sample_to_row(found_sample, sigmas, 0, 1.0)

    assert (row.status, len(row.candidates)) == ('ok', 0)
