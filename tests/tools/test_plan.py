"""Tests of the tool that plans."""

import re
import shutil

from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import BOXES, DISTILL, TEACHER_FILE

OPTIONS = (
    'train_dataloader.batch_size=5',
    f'distill.teacher.checkpoint={TEACHER_FILE}',
    *('distill.detector=None', f'distill.unlabeled.bbox_file={BOXES}'),
)


def test_a_complete_recipe_ends_well(workshop, tool, capsys):
    assert tool('plan', STUDENT, '--cfg-options', *OPTIONS) == 0

    printed = capsys.readouterr().out
    assert re.search(r'labeling +about', printed)
    assert 'missing' not in printed


def test_what_is_missing_is_reported_with_exit_code_1(workshop, tool, capsys):
    shutil.rmtree('data/toy/images')

    assert tool('plan', STUDENT, '--cfg-options', *OPTIONS) == 1

    assert 'the labeled images data/toy/images' in capsys.readouterr().out


def test_a_store_that_was_made_otherwise_is_said(workshop, tool, capsys):
    def plan(*options: str) -> str:
        assert tool('plan', STUDENT, '--cfg-options', *DISTILL, *options) == 0
        return capsys.readouterr().out

    assert 'made otherwise' not in plan()
    out = plan('distill.views.scales=[1.0]')
    lines = [line for line in out.splitlines() if 'made otherwise' in line]
    assert any('views.' in line and '1.25' in line for line in lines), out


def test_a_store_of_reduced_images_is_as_the_recipe_states_it(workshop, tool, capsys):
    reduced = 'distill.labeling.reduced_decoding=True'
    options = ('--cfg-options', *DISTILL, 'distill.store=reduced')
    assert tool('label', STUDENT, *options, reduced) == 0

    capsys.readouterr()
    assert tool('plan', STUDENT, *options, reduced) == 0
    assert 'made otherwise' not in capsys.readouterr().out

    assert tool('plan', STUDENT, *options) == 0
    assert 'made otherwise reduced_decoding' in capsys.readouterr().out


def test_boxes_that_are_fitted_are_refused_before_labeling(workshop, tool, capsys):
    reduced = 'distill.labeling.reduced_decoding=True'
    fitted = 'distill.labeling.refit_boxes=True'

    assert tool('plan', STUDENT, '--cfg-options', *DISTILL, reduced, fitted) == 2

    assert 'reduced_decoding needs boxes that are known' in capsys.readouterr().err
