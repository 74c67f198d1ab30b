"""Two rounds of lspe: the teacher's network first, then the student's."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.stages.round_configs import Rounds

RECIPE = 'configs/distill/lspe'


@pytest.fixture
def read(monkeypatch):
    """Read configs of the recipe, from the folder that their paths begin at."""
    pytest.importorskip('efficientnet_lite_pytorch')
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.syspath_prepend(RECIPE)
    return lambda name: Config.fromfile(f'{RECIPE}/{name}.py')


def test_the_second_round_is_the_student_of_a_student_like_the_teacher(read):
    rounds = Rounds(Recipe.of(read('two_rounds')))
    first, second = rounds.config(1), rounds.config(2)
    assert first.model == read('teacher').model
    assert second.model == read('student').model != first.model
    (teacher,) = second.distill.teacher
    assert teacher.config == str(rounds.recipe_file(1))


def test_both_rounds_train_like_the_student_on_the_same_labels(read):
    recipe, student = Recipe.of(read('two_rounds')), read('student')
    assert recipe.distill.store == student.distill.store
    for number in (1, 2):
        config = Rounds(recipe).config(number)
        for key in ('views', 'mixing', 'selection', 'finish', 'schedule'):
            assert config.distill[key] == student.distill[key]
        assert config.train_cfg == student.train_cfg
        labeled, stated = (c.train_dataloader.dataset for c in (config, student))
        assert labeled.ann_file == stated.ann_file
