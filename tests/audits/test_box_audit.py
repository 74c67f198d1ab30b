"""Audits of boxes: their overlaps with the true ones, against a slow loop."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmdistill import stages
from mmdistill.audits import audit, audited_set, report_label_worth
from mmdistill.audits.candidates import match_candidates
from mmdistill.audits.result import read_audit
from mmdistill.audits.unlabeled_selection import unlabeled_selection_of
from mmdistill.config.recipe import Recipe
from mmdistill.datasets.coco.ground_truth import read_truth
from mmdistill.errors import UserError
from mmdistill.reports.audit_report import draw_audit, format_audit
from mmdistill.reports.report import ReportOptions, report
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS
from tests.helpers.box_recipes import IDS, box_recipe, write_boxes
from tests.helpers.coco_evaluation import box_precision


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Config:
    """A recipe that is labeled, with a set to audit."""
    root = tmp_path_factory.mktemp('audit')
    config = box_recipe(root, 'retinanet')
    write_boxes(root, 'audited', 4, seed=2)
    config.distill.audit = dict(
        data_root=f'{root}/',
        ann_file='audited.json',
        data_prefix=dict(img='audited/'),
    )
    stages.label(copy.deepcopy(config))
    return config


@pytest.fixture(scope='module')
def audited(config):
    """The audit of the recipe."""
    recipe = Recipe.of(copy.deepcopy(config))
    return audit(recipe, audited_set(recipe))


def fused_store(config: Config) -> LabelStore:
    folder = Path(f'{config.distill.store}-audit')
    (root,) = [path for path in folder.iterdir() if path.name.startswith('audited')]
    return LabelStore(root / 'fused', BOX_LABELS)


def test_precision_is_that_of_a_slow_loop(config, audited):
    store = LabelStore(config.distill.store, BOX_LABELS)
    selection = unlabeled_selection_of(store)
    labels = fused_store(config).read()
    truth = json.loads(Path(config.distill.audit.data_root, 'audited.json').read_text())

    kept = selection.apply(labels.candidates).kept[0]
    right = 0
    for number, image in enumerate(truth['images']):
        true = [
            [*a['bbox'], a['category_id']]
            for a in truth['annotations']
            if a['image_id'] == image['id']
        ]
        used = set()
        for row in np.flatnonzero(labels.image_index == number):
            x1, y1, x2, y2 = labels.candidates.bboxes[row].tolist()
            best, chosen = 0.5, None
            for index, (x, y, w, h, category) in enumerate(true):
                if index in used or category != labels.candidates.category_ids[row]:
                    continue
                over = max(0, min(x2, x + w) - max(x1, x)) * max(
                    0, min(y2, y + h) - max(y1, y)
                )
                iou = over / ((x2 - x1) * (y2 - y1) + w * h - over)
                if iou >= best:
                    best, chosen = iou, index
            if chosen is not None:
                used.add(chosen)
                right += bool(kept[row])

    assert kept.sum() > 0
    assert audited.matched.kept == kept.sum()
    assert audited.matched.precision['0.5'] == pytest.approx(right / kept.sum())


def test_ap_is_coco_s(config, audited):
    ann_file = Path(config.distill.audit.data_root, 'audited.json')
    labels = fused_store(config).read()

    expected = box_precision(ann_file, labels)

    assert audited.gains['fused'] == pytest.approx(expected, abs=1e-6)


def test_an_audit_of_boxes_speaks_of_boxes(config, audited, tmp_path):
    text = format_audit(audited)
    draw_audit(audited, tmp_path / 'audit.svg')
    page = tmp_path / 'report.html'
    report(config.distill.store, page, ReportOptions(num=1))

    assert audited.of_boxes
    assert read_audit(Path(config.distill.store)).of_boxes
    assert 'IoU below 0.5' in audited.verdict
    for written in (text, (tmp_path / 'audit.svg').read_text()):
        assert 'keypoint' not in written
        assert 'OKS' not in written
    body = page.read_text().partition('</style>')[2].partition('id="provenance"')[0]
    assert 'precision at IoU' in body
    assert 'keypoint' not in body
    assert 'OKS' not in body


def test_the_error_of_a_box_is_what_it_lacks_of_the_true_one(config, audited):
    store = fused_store(config)
    ann_file = Path(config.distill.audit.data_root, 'audited.json')
    selection = unlabeled_selection_of(LabelStore(config.distill.store, BOX_LABELS))
    matched = match_candidates(store, ann_file, np.zeros(0), selection)

    known = matched.errors[~np.isnan(matched.errors)]
    assert len(known) > 0
    assert ((known >= 0) & (known <= 0.9)).all()
    assert [each.name for each in audited.per_keypoint] == ['box']


def test_what_the_labels_can_be_worth_is_measured(config, audited, logged):
    measured = report_label_worth(copy.deepcopy(config))

    assert measured.of_boxes
    assert measured.images == 4
    assert any('of the true one (1 - IoU)' in line for line in logged)


def test_true_boxes_of_other_classes_do_not_count(tmp_path):
    write_boxes(tmp_path, 'some', 3, seed=3)
    path = tmp_path / 'some.json'

    bars = read_truth(path, 0, dict(bar=5, ring=6))

    every = json.loads(path.read_text())['annotations']
    count = sum(each['category_id'] == IDS[1] for each in every)
    assert sum(len(truth) for truth in bars.values()) == count
    assert {n for truth in bars.values() for n in truth.category_ids.tolist()} == {5}
    with pytest.raises(UserError, match=r'square, bar, and the labels are of ring'):
        read_truth(path, 0, dict(ring=1, disk=2))


def test_detections_are_refused_where_the_teacher_finds_boxes(config, tmp_path):
    recipe = Recipe.of(copy.deepcopy(config))
    boxes = tmp_path / 'boxes.json'
    boxes.write_text('[]')

    with pytest.raises(UserError, match='looks at the boxes that it finds itself'):
        audit(recipe, replace(audited_set(recipe), bbox_file=boxes))
