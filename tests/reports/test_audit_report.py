"""The audit in the terminal."""

from __future__ import annotations

import copy

import pytest

from mmdistill.audits.result import Audit
from mmdistill.reports.audit_report import format_audit
from tests.helpers.audit_example import EXAMPLE

AUDIT = Audit.from_json(EXAMPLE)


def rows(text: str, head: str) -> list[list[str]]:
    """Rows of the table whose head begins with a word."""
    (block,) = [part for part in text.split('\n\n') if part.startswith(head)]
    return [line.split() for line in block.splitlines()[2:]]


def test_the_matched_threshold_stands_in_its_place():
    assert rows(format_audit(AUDIT), 'instance score threshold') == [
        ['0.100', '0.700', '0.900', '0.400', '0.400'],
        ['0.420', '<-', 'matched', '0.875', '0.750', '0.500', '0.250'],
        ['0.500', '0.900', '0.600', '0.600', '0.200'],
        ['0.900', '1.000', '0.100', '1.000', '0.100'],
    ]


def test_each_source_s_threshold_is_named_and_all_labels_are_last():
    example = copy.deepcopy(EXAMPLE)
    (part,) = example['matched']['parts']
    example['matched']['parts'] = [
        dict(part, source='a', category_id=2),
        dict(part, source='b', score_thr=None),
    ]
    cells = rows(format_audit(Audit.from_json(example)), 'instance score threshold')
    assert cells[1][:6] == ['0.420', '<-', 'matched,', 'a,', 'category', '2']
    assert cells[-1] == ['all', 'labels', '0.875', '0.750', '0.500', '0.250']
    assert len(cells) == 5


def test_views_have_their_ap_and_error():
    assert rows(format_audit(AUDIT), 'views')[-1] == ['fused', '0.400', '0.190']


def test_a_keypoint_has_its_errors_at_both_ends():
    ends = ['0.300', '0.100', '0.300', '0.100']
    expected = ['nose', '15', '0.200', '0.125', *ends]
    assert rows(format_audit(AUDIT), 'keypoint  ')[0] == expected


@pytest.mark.parametrize('errors', [[], [0.3]])
def test_every_keypoint_has_a_cell_a_column(errors):
    example = copy.deepcopy(EXAMPLE)
    bins = len(errors)
    table = dict(edges=[0.1, 0.1][: 2 * bins], error=errors, count=[3][:bins])
    example['per_keypoint'][0]['calibration'] = dict(score=table, agreement=table)
    row = rows(format_audit(Audit.from_json(example)), 'keypoint  ')[0]
    assert row[4:] == (['0.300'] * 4 if errors else ['-'] * 4)


def test_rank_correlations_stand_beside_each_other():
    assert rows(format_audit(AUDIT), 'rank correlation') == [
        ['of', 'each', 'keypoint', '-0.500', '-0.250', '-0.625'],
        ['of', 'each', 'instance', '-0.125', '-', '-'],
    ]


def test_the_verdict_is_last():
    assert format_audit(AUDIT).splitlines()[-1] == EXAMPLE['verdict']


@pytest.mark.parametrize(
    ('provenance', 'sentence'),
    [
        (dict(folds=3, teacher_config='t.py'), '3 folds, each labeled by a teacher'),
        (dict(images_trained_on=2), '2 of the images are among those the teacher'),
    ],
)
def test_what_must_be_said_is_said(provenance, sentence):
    audited = {**EXAMPLE['audited'], **provenance}
    assert sentence in format_audit(Audit.from_json({**EXAMPLE, 'audited': audited}))
    assert sentence not in format_audit(AUDIT)
