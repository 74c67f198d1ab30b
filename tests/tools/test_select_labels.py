from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from xtcocotools.coco import COCO

from mmdistill.selection.selection import read_selection
from mmdistill.store import LabelStore
from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import DISTILL

LABELS = Path('work_dirs/toy/labels')


def test_a_score_keeps_what_scores_as_much(workshop, tool):
    scores = LabelStore(LABELS).read().candidates.instance_scores
    score_thr = float(np.sort(scores)[len(scores) // 2])

    tool(
        'select_labels',
        *(STUDENT, '--score-thr', str(score_thr), '--cfg-options', *DISTILL),
    )

    selection = read_selection(LabelStore(LABELS))
    assert selection.rule == 'score'
    assert selection.unlabeled.kept == (scores >= np.float32(score_thr)).sum()


@pytest.mark.parametrize('over', ['all', 'annotated'])
def test_both_denominators_can_be_chosen(workshop, tool, over):
    assert (
        tool(
            'select_labels',
            STUDENT,
            '--labeled-images',
            over,
            '--cfg-options',
            *DISTILL,
        )
        == 0
    )

    assert read_selection(LabelStore(LABELS)).options.labeled_images == over


def test_the_export_loads_in_xtcocotools_and_mmpose(workshop, tool):
    arguments = ['--export-coco', 'labels.json', '--cfg-options', *DISTILL]
    assert tool('select_labels', STUDENT, *arguments) == 0

    selection = read_selection(LabelStore(LABELS))
    coco = COCO('labels.json')
    assert len(coco.imgs) == selection.unlabeled.images
    assert len(coco.anns) == selection.unlabeled.kept
    assert len(CocoDataset('labels.json')) == selection.unlabeled.kept


def test_a_dry_run_prints_the_table_and_writes_nothing(workshop, tool, capsys):
    path = LABELS / 'selection.json'
    before = path.read_bytes()
    arguments = [
        '--criterion',
        'both',
        '--group-by',
        'source',
        '--dry-run',
        '--cfg-options',
    ]
    assert tool('select_labels', STUDENT, *arguments, *DISTILL) == 0

    assert path.read_bytes() == before
    head, rule, *rows = capsys.readouterr().out.strip().split('\n')[-4:]
    assert head.split()[:3] == ['source', 'category', 'threshold']
    assert set(rule) == {'-'}
    candidates = len(LabelStore(LABELS).read().candidates)
    assert [row.split()[0] for row in rows] == ['-', 'all']
    assert [int(row.split()[i]) for row, i in zip(rows, (4, 3), strict=True)] == (
        [candidates] * 2
    )


def test_options_of_the_command_line_reach_the_selection(workshop, tool):
    arguments = [
        '--criterion',
        'agreement',
        '--min-thr',
        '0',
        '--max-thr',
        '2',
        '--cfg-options',
    ]
    assert tool('select_labels', STUDENT, *arguments, *DISTILL) == 0

    options = read_selection(LabelStore(LABELS)).options
    assert (options.criterion, options.min_thr, options.max_thr) == ('agreement', 0, 2)


def test_the_selection_remembers_what_the_command_line_changed(workshop, tool):
    arguments = ['--labeled-images', 'annotated', '--cfg-options', *DISTILL]
    assert tool('select_labels', STUDENT, *arguments) == 0
    assert read_selection(LabelStore(LABELS)).changes == dict(
        labeled_images='annotated'
    )

    assert tool('select_labels', STUDENT, '--cfg-options', *DISTILL) == 0
    assert read_selection(LabelStore(LABELS)).changes == {}
