"""Supervised trainings with what students get, by stand-ins for what each does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from mmengine.config import Config

from mmdistill.errors import UserError

LABELED = dict(type='CocoDataset', ann_file='train.json', pipeline=[])
BASELINE = dict(
    train_cfg=dict(max_iters=100),
    param_scheduler=[dict(type='MultiStepLR', milestones=[70, 90], by_epoch=False)],
    train_dataloader=dict(dataset=LABELED),
)
DISTILL = dict(teacher=['a.pth'], unlabeled=dict(), store='labels')


@dataclass(frozen=True)
class Rounds:
    number: int
    students: int


@dataclass(frozen=True)
class Section:
    """The section of a student, with the share that a stand-in's finish adds."""

    finish: float = 0.0
    rounds: Rounds | None = None


@pytest.fixture
def stacks(load, monkeypatch):
    """The module, with a stand-in that wraps the data and lengthens the training."""
    stacks = load('gap_recovery.stacks')

    def supervised_config(config, section):
        if not section.finish:
            return config
        config = Config(config.to_dict())
        config.train_cfg.max_iters += round(config.train_cfg.max_iters * section.finish)
        config.train_dataloader.dataset = dict(
            type='mmdistill.SeededDataset', dataset=config.train_dataloader.dataset
        )
        return config

    monkeypatch.setattr(stacks.stages, 'supervised_config', supervised_config)
    return stacks


@pytest.fixture
def students(load):
    return lambda *names: load('gap_recovery.arms').students(names, [])


@pytest.fixture
def configs():
    return {
        'student.py': Config(dict(BASELINE, distill=DISTILL)),
        'baseline.py': Config(BASELINE),
        'upper.py': Config(BASELINE),
    }


@pytest.fixture
def recipe(load):
    return load('gap_recovery.plan').Recipe(
        student='student.py',
        baseline='baseline.py',
        upper_bound='upper.py',
        iterations=100,
        stated=100,
        schedulers={'param_scheduler.0.milestones': [70, 90]},
        labeled={},
        ann_file='train.json',
    )


@pytest.fixture
def write(stacks, recipe, configs, students, tmp_path, monkeypatch):
    """Write the stack of arms whose section has a finish of this share."""

    def write(*names, finish=0.1, recipe=recipe):
        monkeypatch.setattr(stacks, 'distill_of', lambda *_: Section(finish))
        return stacks.write_stack(recipe, configs, students(*names), [], tmp_path)

    return write


def test_students_without_noise_finish_and_ema_need_no_other_baseline(write):
    assert write('fusion', 'weights', 'resolutions') is None


def test_every_schedule_and_the_upper_bound_have_a_config(write):
    stack = write('fusion', 'noise+finish')
    assert stack.ingredients == ('noise', 'finish')
    lengths = {key: each.iterations for key, each in stack.configs.items()}
    assert lengths == {
        ('baseline.py', 50): 55,
        ('baseline.py', 100): 110,
        ('baseline.py', 200): 220,
        ('upper.py', 100): 110,
    }


def test_what_is_written_reads_back_as_it_was_planned(write):
    for (_, length), written in write('finish').configs.items():
        config = Config.fromfile(written.path)
        assert config.to_dict() == written.content
        assert config.train_cfg.max_iters == written.iterations
        # Steps are where the schedule has them: the finish comes behind it.
        steps = [length * 7 // 10, length * 9 // 10]
        assert config.param_scheduler[0].milestones == steps
        assert written.labeled == ['train_dataloader.dataset.dataset']


def test_other_settings_never_replace_what_is_trained_on(write):
    first = write('finish').configs['baseline.py', 100]
    again = write('finish').configs['baseline.py', 100]
    other = write('finish', finish=0.2).configs['baseline.py', 100]
    assert first.path == again.path != other.path
    assert Config.fromfile(first.path).train_cfg.max_iters == 110


def test_without_an_upper_bound_there_is_no_config_of_one(write, recipe):
    stack = write('finish', recipe=replace(recipe, upper_bound=None))
    assert {path for path, _ in stack.configs} == {'baseline.py'}


@pytest.mark.parametrize(
    ('section', 'iterations'),
    [
        (Section(), 100),
        (Section(finish=0.1), 110),
        (Section(rounds=Rounds(3, 2)), 600),
        (Section(finish=0.1, rounds=Rounds(2, 1)), 220),
    ],
)
def test_a_student_trains_its_finish_and_its_rounds(
    stacks, recipe, configs, section, iterations
):
    assert stacks.student_iterations(recipe, configs, section) == iterations


def test_another_length_is_that_of_the_student_before_its_finish(
    stacks, recipe, configs
):
    recipe = replace(recipe, iterations=50)
    assert stacks.student_iterations(recipe, configs, Section(finish=0.1)) == 55


def test_settings_of_students_are_in_their_section(stacks, recipe, configs):
    options = ['distill.mixing.labeled_share=0.3', 'distill.noise.color=False']
    section = stacks.distill_of(recipe, configs, [], options)
    assert section.mixing.labeled_share == 0.3
    assert 'mixing' not in configs['student.py'].distill


def test_a_setting_that_cannot_be_is_refused_before_anything_runs(
    stacks, recipe, configs
):
    with pytest.raises(UserError, match=r'labeled_share must be .*, got 3'):
        stacks.distill_of(recipe, configs, [], ['distill.mixing.labeled_share=3'])
    with pytest.raises(UserError, match='cannot be put into the config'):
        stacks.distill_of(recipe, configs, [], ['train_cfg.max_iters.a=3'])
