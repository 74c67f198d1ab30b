"""Tests of what a pose fills of its box, in data sets of MMPose and in candidates."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

from mmdistill.engine import box_fits
from mmdistill.engine.box_fits import candidates_fill, compare_fills, labeled_fill
from mmdistill.functional.box_fit import PoseFill
from mmdistill.store import Candidates
from tests.helpers.labeled_boxes import labeled_set

CROWDPOSE = dict(from_file='configs/_base_/datasets/crowdpose.py')
LABELED = PoseFill(0.9, 0.8, (0.05, 0.07, 0.05, 0.07), 1.0, 17.0, 5)


@pytest.fixture(autouse=True)
def mmpose_scope() -> None:
    init_default_scope('mmpose')


def found(count, share, score=0.9) -> Candidates:
    """Poses that fill a share of both sides of their boxes."""
    bboxes = np.tile([0.0, 0, 100, 100], (count, 1)).astype(np.float32)
    points = np.linspace(0, 100 * share, 17)
    keypoints = np.tile(points[None, :, None], (count, 1, 2)).astype(np.float32)
    scores = np.full((count, 17), score, dtype=np.float32)
    ones = np.ones(count, dtype=np.float32)
    categories = np.ones(count, dtype=np.int32)
    return Candidates(bboxes, ones, keypoints, scores, scores, ones, categories)


def test_a_labeled_set_is_measured_as_training_sees_it(tmp_path):
    boxes = ((10, 10, 50, 40), (0, 0, 20, 20), (5, 5, 60, 45))
    config = labeled_set(tmp_path / 'labeled.json', (0.6, 0.4), boxes)

    fill = labeled_fill(DATASETS.build(config))

    assert (fill.width, fill.height) == pytest.approx((0.6, 0.4))
    assert (fill.poses, fill.keypoints) == (3, 17)


def test_a_set_of_whole_images_is_measured_by_its_instances(tmp_path):
    boxes = ((10, 10, 50, 40), (0, 0, 20, 20), (5, 5, 60, 45))
    config = labeled_set(tmp_path / 'labeled.json', (0.6, 0.4), boxes)
    content = json.loads((tmp_path / 'labeled.json').read_text())
    for annotation in content['annotations']:
        annotation['image_id'] = content['images'][0]['id']
    (tmp_path / 'labeled.json').write_text(json.dumps(content))

    images = DATASETS.build(dict(config, data_mode='bottomup'))

    assert len(images) == 1
    assert labeled_fill(images) == labeled_fill(DATASETS.build(config))


def test_a_large_set_is_sampled_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(box_fits, 'MAX_SAMPLES', 3)
    boxes = [(10, 10, 30 + i, 40) for i in range(9)]
    config = labeled_set(tmp_path / 'labeled.json', (0.6, 0.4), boxes)

    fill = labeled_fill(DATASETS.build(config))

    assert fill.poses == 3
    assert (fill.width, fill.height) == pytest.approx((0.6, 0.4))


def test_members_of_a_mixed_set_are_measured_by_the_keypoints_they_give_it(tmp_path):
    config = labeled_set(tmp_path / 'labeled.json', (0.5, 0.5))
    # The first three keypoints alone, which span an eighth of the pose.
    mapping = [(i, i) for i in range(3)]
    converter = dict(type='KeypointConverter', num_keypoints=14, mapping=mapping)
    mixed = dict(
        type='CombinedDataset',
        metainfo=CROWDPOSE,
        datasets=[dict(config, pipeline=[converter])] * 2,
        pipeline=[],
    )

    fill = labeled_fill(DATASETS.build(mixed))

    assert (fill.width, fill.height) == pytest.approx((0.5 / 8, 0.5 / 8))
    assert (fill.poses, fill.keypoints) == (10, 3)


def test_a_set_without_samples_or_boxes_is_not_measured(tmp_path):
    config = labeled_set(tmp_path / 'labeled.json')
    dataset = DATASETS.build(dict(config, serialize_data=False))
    dataset.data_list = [dict(info, bbox=None) for info in dataset.data_list]
    assert labeled_fill(dataset) is None
    dataset.data_list = []
    assert labeled_fill(dataset) is None


def test_candidates_are_measured_by_their_confident_keypoints():
    both = [found(3, 0.4), found(3, 0.4, score=0.1), found(2, 0.4)]

    fill = candidates_fill(both, LABELED)

    assert (fill.width, fill.height) == pytest.approx((0.4, 0.4))
    assert fill.poses == 5


@pytest.mark.parametrize('candidates', [[], [found(0, 0.4)], [found(3, 0.4)]])
def test_too_few_candidates_are_not_measured(candidates):
    assert candidates_fill(candidates, LABELED) is None


@pytest.mark.parametrize(
    ('fitted', 'advice'),
    [(False, 'refit_boxes=True'), (True, 'even after boxes were fitted')],
)
def test_the_advice_depends_on_what_was_done(fitted, advice):
    fill = candidates_fill([found(5, 0.4)], LABELED)

    comparison = compare_fills(LABELED, fill, fitted)

    assert comparison.level == logging.WARNING
    assert advice in comparison.sentence
    assert ('refit_boxes=True' in comparison.sentence) is not fitted


def test_boxes_that_the_teacher_found_are_not_to_be_given():
    fill = candidates_fill([found(5, 0.4)], LABELED)

    comparison = compare_fills(LABELED, fill, fitted=True, found=True)

    assert comparison.level == logging.WARNING
    assert comparison.sentence.endswith('labels than from the labeled set')
