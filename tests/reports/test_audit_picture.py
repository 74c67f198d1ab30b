"""The picture of an audit."""

from __future__ import annotations

import copy

import cv2
import pytest

from mmdistill.audits.result import Audit
from mmdistill.errors import UserError
from mmdistill.reports.audit_report import draw_audit
from tests.helpers.audit_example import EXAMPLE

AUDIT = Audit.from_json(EXAMPLE)


def test_the_picture_is_written(tmp_path):
    draw_audit(AUDIT, tmp_path / 'audit.png')
    height, width, _ = cv2.imread(str(tmp_path / 'audit.png')).shape
    assert width > height > 500


def test_the_same_audit_gives_the_same_bytes(tmp_path):
    for name in ('a.png', 'b.png'):
        draw_audit(AUDIT, tmp_path / name)
    assert (tmp_path / 'a.png').read_bytes() == (tmp_path / 'b.png').read_bytes()


def test_an_audit_that_found_nothing_is_drawn(tmp_path):
    empty = copy.deepcopy(EXAMPLE)
    nothing = dict(edges=[], error=[], count=[])
    empty['curve'] = dict(
        thresholds=[], precision={'0.5': [], '0.75': []}, recall={'0.5': [], '0.75': []}
    )
    empty['matched'].update(precision={'0.5': None, '0.75': None})
    empty['calibration'] = dict(score=nothing, agreement=nothing)
    empty['gains_error'] = dict.fromkeys(empty['gains_error'])
    for entry in empty['per_keypoint']:
        entry.update(error=None, median=None, calibration=empty['calibration'])

    draw_audit(Audit.from_json(empty), tmp_path / 'audit.png')

    assert (tmp_path / 'audit.png').stat().st_size > 10_000


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'as \.png, \.svg or \.pdf'):
        draw_audit(AUDIT, tmp_path / 'audit.doc')
