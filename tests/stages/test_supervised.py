"""Tests of supervised trainings that are given a student's noise, finish and EMA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.config.schema import dicts_within, is_type
from mmdistill.errors import UserError
from mmdistill.stages import supervised, supervised_config

RECIPES = Path(__file__).parents[2] / 'configs' / 'distill'


@dataclass(frozen=True)
class Noise:
    sources: str = 'pseudo'


@dataclass(frozen=True)
class Finish:
    length: float = 0.1


@dataclass(frozen=True)
class Sections:
    """As many of the sections of a student as these tests need."""

    noise: Noise | None = None
    finish: Finish | None = None
    ema: object | None = None


@pytest.fixture
def applied(monkeypatch):
    """What was applied, one after the other, by functions that stand in."""
    applied: list[tuple[str, object]] = []

    def stand_in(name):
        def transform(config, section):
            applied.append((name, section))
            return Config(dict(config, **{name: True}))

        return transform

    monkeypatch.setattr(supervised, '_transform', stand_in)
    return applied


@pytest.fixture
def baseline():
    return Config(dict(train_cfg=dict(max_iters=100)))


def test_a_student_without_any_leaves_the_training_as_it_is(applied, baseline):
    assert supervised_config(baseline, Sections()) is baseline
    assert applied == []


def test_all_samples_are_noised_and_the_rest_is_the_students(applied, baseline):
    config = supervised_config(baseline, Sections(Noise(), Finish(0.3), 'ema'))
    assert applied == [
        ('noise', Noise('all')),
        ('finish', Finish(0.3)),
        ('ema', 'ema'),
    ]
    assert config.noise
    assert config.finish
    assert config.ema
    assert 'noise' not in baseline


def test_what_is_off_stays_off(applied, baseline):
    config = supervised_config(baseline, Sections(finish=Finish()))
    assert [name for name, _ in applied] == ['finish']
    assert 'noise' not in config


def test_a_training_with_a_section_of_its_own_is_refused(baseline):
    baseline.distill = dict(teacher='a.pth')
    with pytest.raises(UserError, match='has a distill section'):
        supervised_config(baseline, Sections())


@pytest.fixture
def lspe():
    """The recipe's baseline, with as much of a section as a student has."""
    for name in ('noise', 'finish', 'averaging'):
        pytest.importorskip(f'mmdistill.stages.{name}')
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
