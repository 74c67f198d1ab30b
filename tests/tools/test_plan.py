"""Tests of the tool that plans."""

import re
import shutil

from tests.helpers.recipes import STUDENT
from tests.helpers.workshop import BOXES, TEACHER_FILE

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
