"""The file of an audit: what was written before is written, and read, today."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmdistill.audits.candidates import match_candidates
from mmdistill.audits.result import AuditedImages, read_audit
from mmdistill.audits.run import write_audit
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.config.recipe import Recipe
from mmdistill.config.selection_options import SelectionOptions
from mmdistill.reports.report import ReportOptions, write_report
from mmdistill.selection.counts import Part
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.utils.files import write_json
from tests.helpers.metainfo import SIGMAS

STORED = Path(__file__).parents[1] / 'fixtures' / 'older_audit.json'
IMAGES = AuditedImages(
    ann_file='val.json',
    sha256='0' * 64,
    boxes='b',
    images_trained_on=0,
    images=4,
    failed=1,
    instances=6,
    candidates=6,
)
THRESHOLDS = (('a', 0.3, 10, 30), ('b', 0.6, 90, 10), ('c', None, 5, 0))


@pytest.fixture
def three_sources(make_selection) -> UnlabeledSelection:
    """Thresholds of three sources, one of which keeps nothing; a blind keypoint."""
    parts = tuple(
        Part(source, 1, thr, images, 50, kept, 80, 39, 1.5)
        for source, thr, images, kept in THRESHOLDS
    )
    selection = make_selection(0.5, -1.0)
    return UnlabeledSelection(
        replace(
            selection,
            options=SelectionOptions(group_by='source'),
            keypoint_thrs=(*(0.5,) * 16, None),
            thresholds=tuple(
                Threshold(name, None, thr) for name, thr, *_ in THRESHOLDS
            ),
            parts=parts,
            unlabeled=replace(selection.unlabeled, images=105),
        )
    )


@pytest.fixture
def written(perfect, three_sources) -> Path:
    """The file of an audit in which every other candidate is wrong."""
    store, truth = perfect
    found = match_candidates(store, truth, SIGMAS, three_sources)
    wrong = replace(
        found,
        correct=np.tile(np.arange(6) % 2 == 0, (10, 1)),
        errors=found.errors + np.arange(6)[:, None] / 8,
    )
    views = {'single view': found, 'flip': found, 'fused': wrong}
    distill = dict(teacher={}, unlabeled={}, store=str(store.root))
    recipe = Recipe.of(Config(dict(distill=distill)))
    write_audit(recipe, views, three_sources, IMAGES)
    return store.root / 'audit.json'


def test_the_file_is_byte_for_byte_as_before(written):
    # One sentence has another word since, and the rank correlations were added.
    before = STORED.read_text().replace('in the pile', 'in the unlabeled set')
    content = json.loads(written.read_text())
    assert content.pop('rank_correlations').keys() == {'keypoint', 'instance'}
    write_json(written, content)
    assert written.read_text() == before


def test_a_file_from_before_is_read_and_would_be_written_the_same(tmp_path):
    shutil.copy(STORED, tmp_path / 'audit.json')
    audit = read_audit(tmp_path)
    assert audit is not None
    write_json(tmp_path / 'again.json', audit.to_json())
    assert (tmp_path / 'again.json').read_bytes() == STORED.read_bytes()


def test_what_is_computed_is_what_is_read(written):
    audit = read_audit(written.parent)
    assert audit is not None
    assert audit.matched is not None
    *kept, nothing = audit.matched.parts
    assert [part.score_thr for part in kept] == [0.3, 0.6]
    assert np.isnan([nothing.score_thr, nothing.error.mean]).all()
    assert np.isnan(audit.matched.keypoint_thrs[-1])
    assert audit.per_keypoint[-1].count == 0
    assert audit.audited == IMAGES


def test_a_page_of_a_file_from_before_shows_its_sentence(perfect, tmp_path):
    store, _ = perfect
    shutil.copy(STORED, store.root / 'audit.json')
    write_report(store, tmp_path / 'report.html', ReportOptions(num=0))
    page = (tmp_path / 'report.html').read_text()
    assert 'about 30% of the pseudo-labeled instances are wrong' in page
    assert 'val.json, 6 instances' in page
