import json

import numpy as np
import pytest

from mmdistill.audits.result import Audit, read_audit
from mmdistill.errors import UserError
from tests.helpers.audit_example import EXAMPLE

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
    matched = audit(WHOLE).matched
    assert list(matched.by_oks) == [('0.5', 0.75, 0.25)]
    assert (matched.by, matched.score_thrs) == ('instance score', (0.5,))


def test_what_an_older_file_does_not_state_is_unknown(audit):
    matched = audit(WHOLE).matched
    assert matched.kept is None
    assert np.isnan([matched.error.mean, matched.error.median]).all()
    assert matched.parts == ()


def test_curves_are_by_oks_and_null_is_not_a_number(audit):
    curve = audit(WHOLE).curve
    assert list(curve.precision) == list(curve.recall) == ['0.5']
    np.testing.assert_array_equal(curve.precision['0.5'], [0.5, np.nan])


def test_calibration_keeps_bins_errors_and_counts(audit):
    score = audit(WHOLE).calibration['score']
    assert score.edges.tolist() == [0, 0.5, 1]
    np.testing.assert_array_equal(score.error, [np.nan, 0.25])
    assert score.count.tolist() == [0, 8]


def test_gains_that_are_not_known_are_no_numbers(audit):
    gains = audit(WHOLE).gains
    assert list(gains) == ['single view', 'flip', 'fused']
    np.testing.assert_array_equal([*gains.values()], [0.25, np.nan, 0.5])


def test_it_knows_which_images_were_audited(audit):
    audited = audit(WHOLE).audited
    assert (audited.ann_file, audited.images, audited.failed) == ('val.json', 9, 1)
    assert (audited.sha256, audited.folds, audited.images_trained_on) == (None,) * 3


def test_a_keypoint_without_a_median_has_none(audit):
    (keypoint,) = audit(WHOLE).per_keypoint
    assert (keypoint.name, keypoint.error, keypoint.count) == ('nose', 0.125, 8)
    assert np.isnan(keypoint.median)


@pytest.mark.parametrize('missing', sorted(WHOLE))
def test_each_part_may_be_missing(audit, missing):
    audit_without = audit({key: part for key, part in WHOLE.items() if key != missing})
    assert getattr(audit(WHOLE), missing)
    assert not getattr(audit_without, missing)
    assert missing not in audit_without.to_json()


@pytest.mark.parametrize('content', [{}, EXAMPLE, dict(verdict='Fine.')])
def test_an_audit_is_written_as_it_was_read(content):
    assert Audit.from_json(content).to_json() == content


@pytest.mark.parametrize(
    'content',
    [
        [],
        'fine',
        {'gains': {'fused': 'high'}},
        {'audited': {'ann_file': 'val.json'}},
        {'matched': {'precision': [0.5]}},
        {'per_keypoint': [{'name': 'nose'}]},
        {'per_keypoint': [{'name': 'nose', 'error': 1, 'count': 0.5}]},
        {'curve': {'thresholds': [0.5], 'recall': {'0.5': [1, 0]}}},
        {'calibration': {'score': {'edges': [0, 1], 'error': [1, 2], 'count': [1]}}},
    ],
)
def test_another_content_is_refused(audit, content):
    with pytest.raises(UserError, match=r'audit\.json is not one of ours'):
        audit(content)
