"""The content of audit.json against the evidence, one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.audits.content import audit_content
from mmdistill.audits.evidence import gather
from tests.audits.conftest import ALL_VISIBLE, SIGMAS


@pytest.fixture
def half_wrong(perfect):
    """Evidence of which the 3 candidates of one image are far off the truth."""
    store, truth = perfect
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        if annotation['image_id'] == 4:
            keypoints = np.array(annotation['keypoints']).reshape(-1, 3)
            keypoints[:, :2] += 500
            annotation['keypoints'] = keypoints.ravel().tolist()
    truth.write_text(json.dumps(content))
    return gather(store, truth, SIGMAS, ALL_VISIBLE)


def content_of(evidence, coco_names, score_thr=0.0, given_boxes=False):
    found = {'single view': evidence, 'flip': evidence, 'fused': evidence}
    return audit_content(found, coco_names, score_thr, ALL_VISIBLE, given_boxes)


def test_a_perfect_labelling_has_precision_1_and_error_0(perfect, coco_names):
    content = content_of(gather(*perfect, SIGMAS, ALL_VISIBLE), coco_names)
    assert content['matched']['precision'] == {'0.5': 1, '0.75': 1}
    assert content['matched']['recall'] == {'0.5': 1, '0.75': 1}
    assert content['matched']['error'] == dict(mean=0, median=0)
    assert {entry['error'] for entry in content['per_keypoint']} == {0}
    assert content['gains'] == {'single view': 1, 'flip': 1, 'fused': 1}
    assert 'about 0% of the pseudo-labelled instances are wrong' in content['verdict']


def test_the_curve_is_precision_and_recall_of_a_loop(half_wrong, coco_names):
    curve = content_of(half_wrong, coco_names)['curve']
    right = half_wrong.correct[0]
    for i, threshold in enumerate(curve['thresholds']):
        kept = half_wrong.scores >= np.float32(threshold)
        assert curve['precision']['0.5'][i] == right[kept].sum() / kept.sum()
        assert curve['recall']['0.5'][i] == right[kept].sum() / 6


@pytest.mark.parametrize('rank', range(6))
def test_the_matched_threshold_is_a_point_of_the_curve(half_wrong, coco_names, rank):
    score_thr = float(np.sort(half_wrong.scores)[rank])
    matched = content_of(half_wrong, coco_names, score_thr)['matched']
    kept = half_wrong.scores >= np.float32(score_thr)
    assert matched['kept'] == kept.sum() == 6 - rank
    assert matched['precision']['0.5'] == half_wrong.correct[0][kept].mean()


def test_the_verdict_tells_the_share_that_is_wrong(half_wrong, coco_names):
    verdict = content_of(half_wrong, coco_names)['verdict']
    assert verdict.startswith('At the matched threshold 0.000 about 50% of the pseudo')
    assert verdict.count('.\n') == 0
    assert verdict.endswith('(median 0.000).')


def test_the_verdict_says_that_true_boxes_stood_in(half_wrong, coco_names):
    assert 'in true boxes' in content_of(half_wrong, coco_names, 0, True)['verdict']
    assert 'in true boxes' not in content_of(half_wrong, coco_names)['verdict']


def test_calibration_is_over_the_kept_labels(perfect, coco_names):
    evidence = gather(*perfect, SIGMAS, ALL_VISIBLE)
    score_thr = float(np.sort(evidence.scores)[2])
    content = content_of(evidence, coco_names, score_thr)
    for table in content['calibration'].values():
        assert sum(table['count']) == 4 * 17
    for entry in content['per_keypoint']:
        assert entry['count'] == sum(entry['calibration']['score']['count']) == 4


def test_what_is_unknown_is_none(perfect, coco_names):
    content = content_of(gather(*perfect, SIGMAS, ALL_VISIBLE), coco_names, 9.0)
    assert content['matched']['precision']['0.5'] is None
    assert content['matched']['error']['mean'] is None
    assert 'no candidate on the audited images' in content['verdict']
    json.dumps(content, allow_nan=False)


def test_a_store_without_candidates_has_empty_curves(perfect, coco_names):
    content = content_of(gather(*perfect, SIGMAS, np.full(17, 2.0)), coco_names)
    assert content['curve']['thresholds'] == []
    assert content['gains']['fused'] == 0
    json.dumps(content, allow_nan=False)
