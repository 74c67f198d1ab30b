"""An audit in which nothing is found goes all the way to the page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmdistill.audits.candidates import match_candidates
from mmdistill.audits.metrics import measure
from mmdistill.audits.result import AuditedImages, read_audit
from mmdistill.reports.audit_report import draw_audit, format_audit
from mmdistill.reports.captions import NOTHING_MATCHED
from mmdistill.reports.report import write_report
from mmdistill.utils.files import write_json
from tests.helpers.metainfo import SIGMAS


def move_truth(truth):
    """Move all that is true far off every label."""
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        keypoints = np.array(annotation['keypoints'], dtype=float).reshape(-1, 3)
        keypoints[:, :2] += 5000
        annotation['keypoints'] = keypoints.ravel().tolist()
    truth.write_text(json.dumps(content))


@pytest.fixture
def audit_of(perfect, selection_at, coco_names):
    """An audit in which no label is right, or there is none."""

    def audit(case):
        store, truth = perfect
        if case == 'nothing matches':
            move_truth(truth)
        selection = selection_at(99.0 if case == 'nothing is kept' else 0.0, -1.0)
        matched = match_candidates(store, truth, SIGMAS, selection)
        found = {'single view': matched, 'flip': matched, 'fused': matched}
        images = AuditedImages(
            **dict(ann_file='val.json', sha256=None, boxes='b', images=9, failed=1),
            **dict(instances=6, candidates=9),
        )
        audit = measure(found, coco_names, selection, False)
        return replace(audit, audited=images)

    return audit


@pytest.mark.parametrize('case', ['nothing is kept', 'nothing matches'])
def test_it_is_shown(audit_of, perfect, tmp_path, case):
    store, _ = perfect
    audit = audit_of(case)
    write_json(store.root / 'audit.json', audit.to_json())

    found = read_audit(store.root)
    assert found is not None
    assert found.nothing_matched
    assert all(np.isnan(keypoint.error) for keypoint in found.per_keypoint)
    text = format_audit(audit)
    assert NOTHING_MATCHED in text
    assert text.endswith(audit.verdict)
    draw_audit(audit, tmp_path / 'audit.png')
    assert (tmp_path / 'audit.png').stat().st_size > 1000
    write_report(store, tmp_path / 'report.html')
    page = (tmp_path / 'report.html').read_text()
    assert NOTHING_MATCHED in page
    assert 'val.json' in page


def test_an_audit_with_matches_has_no_such_sentence(audit_of, perfect):
    audit = audit_of('all is right')
    assert NOTHING_MATCHED not in format_audit(audit)
    write_json(perfect[0].root / 'audit.json', audit.to_json())
    assert not read_audit(perfect[0].root).nothing_matched
