"""Tests of supervised trainings that are given a student's noise, finish and EMA."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import dicts_within, is_type
from mmdistill.errors import UserError
from mmdistill.stages import supervised_config

RECIPES = Path(__file__).parents[2] / 'configs' / 'distill'


@pytest.fixture
def lspe():
    """The recipe's baseline."""
    path = RECIPES / 'lspe' / 'baseline.py'
    return Config.fromfile(path, import_custom_modules=False)


def distill(**sections):
    section = dict(
        teacher=dict(checkpoint='a.pth'), unlabeled={}, store='labels', **sections
    )
    return Recipe.of(Config(dict(distill=section))).distill


def test_a_recipes_baseline_gets_the_three_of_its_student(lspe):
    section = distill(noise=dict(), finish=dict(length=0.25), ema=dict())
    config = supervised_config(lspe, section)
    assert config.train_cfg.max_iters == 1000
    assert lspe.train_cfg.max_iters == 800
    parts = [*dicts_within(config.to_dict())]
    switches = [part for part in parts if is_type(part, 'NoiseSwitch')]
    assert {part['sources'] for part in switches} == {'all'}
    assert any('EMA' in str(hook['type']) for hook in config.custom_hooks)


def test_a_section_without_the_three_leaves_a_recipes_baseline(lspe):
    assert supervised_config(lspe, distill()).to_dict() == lspe.to_dict()


def test_a_student_without_any_leaves_the_training_as_it_is(lspe):
    assert supervised_config(lspe, distill()) is lspe


def test_what_is_off_stays_off(lspe):
    config = supervised_config(lspe, distill(finish=dict(length=0.25)))
    types = {str(part.get('type')) for part in dicts_within(config.to_dict())}
    assert 'mmdistill.FinishLR' in types
    assert not types & {'mmdistill.NoiseSwitch', 'mmdistill.FittedEMAHook'}


def test_a_training_with_a_section_of_its_own_is_refused(lspe):
    lspe.distill = dict(teacher='a.pth')
    with pytest.raises(UserError, match='has a distill section'):
        supervised_config(lspe, distill())
