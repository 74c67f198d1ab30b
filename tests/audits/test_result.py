import json

import numpy as np
import pytest

from mmdistill.audits.result import read_audit
from mmdistill.errors import UserError

WHOLE = dict(
    matched=dict(
        by='instance score',
        score_thrs=[0.5],
        precision={'0.5': 0.75},
        recall={'0.5': 0.25},
    ),
    curve=dict(
        thresholds=[0.25, 0.5], precision={'0.5': [0.5, None]}, recall={'0.5': [1, 0]}
    ),
    calibration=dict(score=dict(edges=[0, 0.5, 1], error=[None, 0.25], count=[0, 8])),
    per_keypoint=[dict(name='nose', error=0.125, count=8)],
    gains={'single view': 0.25, 'flip': None, 'fused': 0.5},
    verdict='Fine.',
    audited=dict(
        ann_file='val.json', images=9, failed=1, instances=12, candidates=15, boxes='b'
    ),
)


@pytest.fixture
def audit(tmp_path):
    def write(content):
        (tmp_path / 'audit.json').write_text(json.dumps(content))
        return read_audit(tmp_path)

    return write


def test_no_file_is_no_audit(tmp_path):
    assert read_audit(tmp_path) is None


def test_the_matched_point_has_a_row_for_each_oks(audit):
    found = audit(WHOLE)
    assert found.matched == [('0.5', 0.75, 0.25)]
    assert (found.by, found.score_thrs) == ('instance score', [0.5])


def test_curves_are_named_and_null_is_not_a_number(audit):
    curves = audit(WHOLE).curves
    assert list(curves) == ['precision at OKS 0.5', 'recall at OKS 0.5']
    np.testing.assert_array_equal(curves['precision at OKS 0.5'], [0.5, np.nan])


def test_calibration_keeps_bins_errors_and_counts(audit):
    score = audit(WHOLE).calibration['score']
    assert score.edges.tolist() == [0, 0.5, 1]
    np.testing.assert_array_equal(score.error, [np.nan, 0.25])
    assert score.count.tolist() == [0, 8]


def test_gains_that_are_not_known_are_left_out(audit):
    assert audit(WHOLE).gains == {'single view': 0.25, 'fused': 0.5}


def test_it_says_which_images_were_audited(audit):
    images, boxes = audit(WHOLE).about
    assert 'val.json, 12 instances on 9 images' in images
    assert boxes == 'boxes: b; 15 candidates'


def test_a_keypoint_without_a_median_has_none(audit):
    ((name, error, median, count),) = audit(WHOLE).per_keypoint
    assert (name, error, count) == ('nose', 0.125, 8)
    assert np.isnan(median)


@pytest.mark.parametrize('missing', sorted(WHOLE))
def test_each_part_may_be_missing(audit, missing):
    found = audit({key: part for key, part in WHOLE.items() if key != missing})
    whole = audit(WHOLE)
    parts = dict(matched='matched', curve='curves', audited='about')
    assert getattr(whole, parts.get(missing, missing))
    assert not getattr(found, parts.get(missing, missing))


@pytest.mark.parametrize(
    'content',
    [
        [],
        'fine',
        {'gains': {'fused': 'high'}},
        {'matched': {'precision': [0.5]}},
        {'per_keypoint': [{'name': 'nose'}]},
        {'curve': {'thresholds': [0.5], 'recall': {'0.5': [1, 0]}}},
        {'calibration': {'score': {'edges': [0, 1], 'error': [1, 2], 'count': [1]}}},
    ],
)
def test_another_content_is_refused(audit, content):
    with pytest.raises(UserError, match=r'audit\.json is not one of ours'):
        audit(content)
