"""The metrics of an audit against the matched, one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.audits.candidates import match_candidates
from mmdistill.audits.metrics import measure, summary_sentence
from mmdistill.audits.result import ErrorSummary
from tests.helpers.metainfo import SIGMAS


@pytest.fixture
def half_wrong(perfect):
    """Move the truth of the 3 candidates of one image far off."""
    _, truth = perfect
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        if annotation['image_id'] == 4:
            keypoints = np.array(annotation['keypoints']).reshape(-1, 3)
            keypoints[:, :2] += 500
            annotation['keypoints'] = keypoints.ravel().tolist()
    truth.write_text(json.dumps(content))


@pytest.fixture
def audited(perfect, selection_at, coco_names):
    """Judge the store under thresholds; returns the matched and the audit."""

    def audited(score_thr=0.0, keypoint_thr=-1.0, true_boxes=False):
        selection = selection_at(score_thr, keypoint_thr)
        matched = match_candidates(*perfect, SIGMAS, selection)
        found = {'single view': matched, 'flip': matched, 'fused': matched}
        return matched, measure(found, coco_names, selection, true_boxes)

    return audited


def test_a_perfect_labeling_has_precision_1_and_error_0(audited):
    _, audit = audited()
    assert audit.matched.precision == {'0.5': 1, '0.75': 1}
    assert audit.matched.recall == {'0.5': 1, '0.75': 1}
    assert audit.matched.error == ErrorSummary(0, 0)
    assert {entry.error for entry in audit.per_keypoint} == {0}
    assert audit.gains == {'single view': 1, 'flip': 1, 'fused': 1}
    assert 'about 0% of the pseudo-labeled instances are wrong' in audit.verdict


@pytest.mark.usefixtures('half_wrong')
def test_the_curve_is_precision_and_recall_of_a_loop(audited):
    matched, audit = audited()
    curve, right = audit.curve, matched.correct[0]
    for i, threshold in enumerate(curve.thresholds):
        kept = matched.scores >= np.float32(threshold)
        assert curve.precision['0.5'][i] == right[kept].sum() / kept.sum()
        assert curve.recall['0.5'][i] == right[kept].sum() / 6


@pytest.mark.usefixtures('half_wrong')
@pytest.mark.parametrize('rank', range(6))
def test_the_matched_threshold_is_a_point_of_the_curve(audited, rank):
    score_thr = float(np.sort(audited()[0].scores)[rank])
    matched, audit = audited(score_thr)
    kept = matched.scores >= np.float32(score_thr)
    (part,) = audit.matched.parts
    for found in (audit.matched, part):
        assert found.kept == kept.sum() == 6 - rank
        assert found.precision['0.5'] == matched.correct[0][kept].mean()


@pytest.mark.usefixtures('half_wrong')
def test_the_sentence_is_of_the_matched_figures(audited):
    _, audit = audited(true_boxes=True)
    assert audit.verdict == summary_sentence(audit.matched, True)
    assert 'about 50% of the pseudo-labeled instances' in audit.verdict


def test_calibration_is_over_the_kept_labels(audited):
    score_thr = float(np.sort(audited()[0].scores)[2])
    _, audit = audited(score_thr)
    for table in audit.calibration.values():
        assert sum(table.count) == 4 * 17
    for entry in audit.per_keypoint:
        assert entry.count == sum(entry.calibration['score'].count) == 4


def test_unknown_values_are_nan_and_null_in_the_file(audited):
    _, audit = audited(9.0)
    assert np.isnan(audit.matched.precision['0.5'])
    assert np.isnan(audit.matched.error.mean)
    assert 'no candidate on the audited images' in audit.verdict
    json.dumps(audit.to_json(), allow_nan=False)


def test_a_store_without_candidates_has_empty_curves(audited):
    _, audit = audited(0, 2.0)
    assert audit.curve.thresholds.tolist() == []
    assert audit.gains['fused'] == 0
    json.dumps(audit.to_json(), allow_nan=False)
