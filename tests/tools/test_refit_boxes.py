"""Boxes fitted around poses through the tools, on whole images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdistill.store import LabelStore
from tests.helpers.launches import launch_forked
from tests.helpers.recipes import REPOSITORY, STUDENT
from tests.helpers.workshop import DISTILL, TEACHER_FILE, call_mmpose, contents

LABELS = Path('work_dirs/whole')
WHOLE = (
    *DISTILL,
    *('distill.unlabeled.bbox_file=None', 'distill.unlabeled.ann_file=None'),
    f'distill.store={LABELS}',
)
OFF = 'distill.labeling.refit_boxes=False'


@pytest.fixture
def loud(workshop) -> Path:
    """A workshop whose hardly trained teacher is sure of what it says.

    It says that people are as large as the image, so labeled boxes are smaller than
    poses here.
    """
    checkpoint = torch.load(TEACHER_FILE, weights_only=False)
    state = checkpoint['state_dict']
    state['head.final_layer.weight'] *= 300
    state['head.final_layer.bias'] += 1
    torch.save(checkpoint, TEACHER_FILE)
    enlarge_labeled_boxes(0.8)
    return workshop


def enlarge_labeled_boxes(factor: float) -> None:
    path = Path('data/toy/annotations/labeled.json')
    content = json.loads(path.read_text())
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        annotation['bbox'] = [
            *(x + width * (1 - factor) / 2, y + height * (1 - factor) / 2),
            *(width * factor, height * factor),
        ]
    path.write_text(json.dumps(content))


def fitted(labels: Path) -> np.ndarray:
    """Which candidates have another box than their image."""
    held = LabelStore(labels).read()
    sizes = held.sizes[held.image_index]
    whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
    return (held.candidates.bboxes != whole).any(axis=1)


def test_mmpose_own_test_tool_and_two_processes_write_the_same_files(loud, tool):
    assert tool('label', STUDENT, '--cfg-options', *WHOLE) == 0
    before = contents(LABELS)
    assert fitted(LABELS).any()
    tool('label', STUDENT, '--write-config', 'stage1.py', '--cfg-options', *WHOLE)

    shutil.rmtree(LABELS)
    call_mmpose('test.py', 'stage1.py', TEACHER_FILE)
    assert contents(LABELS) == before

    shutil.rmtree(LABELS)
    arguments = [STUDENT, '--launcher', 'pytorch', '--cfg-options', *WHOLE]
    launch_forked(REPOSITORY / 'tools/label.py', *arguments)
    assert contents(LABELS) == before


def test_a_store_of_one_kind_is_not_continued_as_the_other(loud, tool, capfd):
    assert tool('label', STUDENT, '--cfg-options', *WHOLE) == 0
    assert tool('label', STUDENT, '--cfg-options', *WHOLE, OFF) == 2

    assert 'views.box_fit.margins: the store has [' in capfd.readouterr().err


def test_a_plan_counts_the_first_look_and_compares_the_boxes(loud, tool, capsys):
    assert tool('plan', STUDENT, '--cfg-options', *WHOLE) == 0
    looked = capsys.readouterr().out
    assert tool('plan', STUDENT, '--cfg-options', *WHOLE, OFF) == 0
    once = capsys.readouterr().out

    views = [
        int(line.split()[2])
        for told in (looked, once)
        for line in told.splitlines()
        if line.startswith('forward passes')
    ]
    assert views[0] > views[1] == 4
    assert 'in the labeled set a pose fills' in once


def test_an_audit_fits_boxes_as_the_labels_it_audits(loud, tool):
    assert tool('label', STUDENT, '--cfg-options', *WHOLE) == 0
    # The labeled set has changed since: its margins are others now.
    enlarge_labeled_boxes(1.2)

    assert tool('audit_labels', STUDENT, '--cfg-options', *WHOLE) == 0

    (manifest,) = Path('work_dirs/whole-audit').glob('*/fused/manifest.json')
    audited = json.loads(manifest.read_text())
    assert audited['views'] == LabelStore(LABELS).manifest['views']
