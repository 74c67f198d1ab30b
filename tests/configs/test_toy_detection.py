"""The recipe of a detector of the drawn figures: what differs between its trainings."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdistill.config.recipe import Recipe
from mmdistill.stages.label_config import label_config
from tests.helpers.recipes import REPOSITORY

FOLDER = REPOSITORY / 'configs' / 'distill' / 'toy_detection'
NAMES = ('baseline', 'student', 'upper_bound')


def read(name: str) -> Config:
    init_default_scope('mmdet')
    return Config.fromfile(FOLDER / f'{name}.py')


@pytest.mark.parametrize('name', NAMES)
def test_the_docstring_has_the_command(name):
    docstring = ast.get_docstring(ast.parse((FOLDER / f'{name}.py').read_text()))

    assert f'python tools/train.py configs/distill/toy_detection/{name}.py' in docstring


def test_all_train_as_long_the_same_model():
    baseline, *others = map(read, NAMES)

    for other in others:
        assert other.model == baseline.model
        assert other.train_cfg == baseline.train_cfg
        assert other.test_evaluator == baseline.test_evaluator


def test_the_baseline_is_the_teacher():
    student = read('student')

    folder = Path(student.distill.teacher.checkpoint).parent
    assert str(folder) == read('baseline').work_dir
    stage = label_config(Recipe.of(student), teacher_needed=False)
    assert len(stage.test_dataloader.dataset.views) == 6
