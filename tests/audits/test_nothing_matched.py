"""An audit in which nothing is found goes all the way to the page."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.audits.candidates import match_candidates
from mmdistill.audits.metrics import audit_content
from mmdistill.audits.result import NOTHING_MATCHED, read_audit
from mmdistill.reports.audit_report import draw_audit, format_audit
from mmdistill.reports.report import write_report
from mmdistill.utils.files import write_json
from tests.audits.conftest import SIGMAS


def move_truth(truth):
    """Move all that is true far off every label."""
    content = json.loads(truth.read_text())
    for annotation in content['annotations']:
        keypoints = np.array(annotation['keypoints'], dtype=float).reshape(-1, 3)
        keypoints[:, :2] += 5000
        annotation['keypoints'] = keypoints.ravel().tolist()
    truth.write_text(json.dumps(content))


@pytest.fixture
def content_of(perfect, selection_at, coco_names):
    """The content of an audit in which no label is right, or there is none."""

    def content(case):
        store, truth = perfect
        if case == 'nothing matches':
            move_truth(truth)
        selection = selection_at(99.0 if case == 'nothing is kept' else 0.0, -1.0)
        matched = match_candidates(store, truth, SIGMAS, selection)
        found = {'single view': matched, 'flip': matched, 'fused': matched}
        content = audit_content(found, coco_names, selection, False)
        audited = dict(ann_file='val.json', boxes='b', images=9, failed=1)
        return dict(content, audited=dict(audited, instances=6, candidates=9))

    return content


@pytest.mark.parametrize('case', ['nothing is kept', 'nothing matches'])
def test_it_is_shown(content_of, perfect, tmp_path, case):
    store, _ = perfect
    content = content_of(case)
    write_json(store.root / 'audit.json', content)

    found = read_audit(store.root)
    assert found is not None
    assert found.nothing_matched
    assert all(np.isnan(error) for _, error, _, _ in found.per_keypoint)
    text = format_audit(content)
    assert NOTHING_MATCHED in text
    assert text.endswith(content['verdict'])
    draw_audit(content, tmp_path / 'audit.png')
    assert (tmp_path / 'audit.png').stat().st_size > 1000
    write_report(store, tmp_path / 'report.html')
    page = (tmp_path / 'report.html').read_text()
    assert NOTHING_MATCHED in page
    assert 'val.json' in page


def test_an_audit_with_matches_has_no_such_sentence(content_of, perfect):
    content = content_of('all is right')
    assert NOTHING_MATCHED not in format_audit(content)
    write_json(perfect[0].root / 'audit.json', content)
    assert not read_audit(perfect[0].root).nothing_matched
