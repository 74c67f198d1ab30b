from __future__ import annotations

import pytest

from mmdistill.cli.arguments import add_config_arguments
from mmdistill.functional.view_plan import make_views
from mmdistill.functional.views import View

LABELED = 'train_dataloader.dataset.datasets.0'
RICH_VIEWS = dict(
    scales=(0.8, 1.0), flip=True, aspect_ratios=(1.2,), rotations=(-30, 30)
)


@pytest.fixture
def gap(load):
    return load('gap_recovery.plan')


@pytest.fixture
def recipe(gap):
    return gap.Recipe(
        student='student.py',
        baseline='baseline.py',
        upper_bound='upper.py',
        iterations=1000,
        stated=1000,
        schedulers={'param_scheduler.1.milestones': [700, 900]},
        labeled={
            'student.py': ['train_dataloader.dataset'],
            'baseline.py': ['train_dataloader.dataset'],
            'upper.py': [LABELED],
        },
    )


@pytest.fixture
def setting(gap):
    return gap.Setting('runs', seeds=(3, 4))


def options(command) -> dict[str, object]:
    """The overrides of a command, as the tools understand them."""
    import argparse

    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return parser.parse_known_args(list(command[1:]))[0].cfg_options


def by_name(runs) -> dict:
    return {run.name: run for run in runs}


def test_a_seed_begins_with_its_supervised_runs_and_ends_with_the_least_telling(
    gap, recipe, setting
):
    runs = gap.plan(recipe, gap.Setting('runs', (3,)), best=500)
    assert [run.name.partition('/')[2] for run in runs] == [
        *('supervised_500', 'supervised_1000', 'supervised_2000'),
        *('labels_fusion', 'fusion', 'upper_bound'),
        *('labels_single_view', 'single_view'),
        *('all_candidates', 'labels_flip', 'flip'),
    ]


def test_only_the_first_seed_tries_schedules(gap, recipe, setting):
    names = by_name(gap.plan(recipe, setting, best=2000))
    assert 'seed3/supervised_500' in names
    assert 'seed4/supervised_500' not in names
    assert 'seed4/supervised_2000' in names


def test_until_the_schedule_is_chosen_nothing_needs_a_teacher(gap, recipe, setting):
    runs = gap.plan(recipe, setting, best=None)
    assert {run.name for run in runs} == {
        *(f'seed3/supervised_{length}' for length in (500, 1000, 2000)),
        *('seed3/upper_bound', 'seed4/supervised_1000', 'seed4/upper_bound'),
    }


@pytest.mark.parametrize('best', [500, 1000, 2000])
def test_a_run_comes_after_those_it_needs_and_once(gap, recipe, setting, best):
    seen: list[str] = []
    for run in gap.plan(recipe, setting, best):
        assert set(run.needs) <= set(seen)
        seen.append(run.name)
    assert len(seen) == len(set(seen))


def test_the_teacher_is_what_the_best_schedule_of_its_seed_ended_with(
    gap, recipe, setting
):
    labels = by_name(gap.plan(recipe, setting, best=2000))['seed4/labels_flip']
    assert labels.needs == ['seed4/supervised_2000']
    teacher = options(labels.commands[0])['distill.teacher.checkpoint']
    assert teacher == 'runs/seed4/supervised_2000/iter_2000.pth'


def test_all_candidates_read_the_labels_of_full_fusion(gap, recipe, setting):
    runs = by_name(gap.plan(recipe, setting, best=500))
    arm = options(runs['seed3/all_candidates'].commands[0])
    fusion = options(runs['seed3/fusion'].commands[0])
    assert arm.pop('distill.mixing.score_thr') == 0.0
    assert arm == fusion


@pytest.mark.parametrize(
    ('arm', 'views'),
    [
        ('single_view', (View(),)),
        ('flip', (View(), View(flip=True))),
        ('fusion', make_views(**RICH_VIEWS)),
    ],
)
def test_views_of_an_arm(gap, recipe, setting, arm, views):
    runs = by_name(gap.plan(recipe, setting, best=500))
    changed = options(runs[f'seed3/labels_{arm}'].commands[0])
    prefix = 'distill.views.'
    stated = {k.removeprefix(prefix): v for k, v in changed.items() if prefix in k}
    assert make_views(**{**RICH_VIEWS, **stated}) == views


def test_all_arms_of_a_seed_have_its_seed_and_the_same_length(gap, recipe, setting):
    for run in gap.plan(recipe, setting, best=1000):
        training = options(run.commands[0])
        if 'labels_' not in run.name:
            assert f'seed{training["randomness.seed"]}/' in run.name
        if run.name.rpartition('_')[2] not in ('500', '2000'):
            assert 'train_cfg.max_iters' not in training


def test_another_length_moves_the_steps_of_the_learning_rate(gap, recipe, setting):
    runs = by_name(gap.plan(recipe, setting, best=1000))
    training = options(runs['seed3/supervised_500'].commands[0])
    assert training['train_cfg.max_iters'] == 500
    assert training['param_scheduler.1.milestones'] == [350, 450]


def test_what_is_tested_is_what_the_training_ends_with(gap, recipe, setting):
    runs = by_name(gap.plan(recipe, setting, best=1000))
    training, test = runs['seed3/supervised_2000'].commands
    assert '--no-validate' in training
    assert test[2] == 'runs/seed3/supervised_2000/iter_2000.pth'


def test_fewer_labels_reach_every_config_at_its_own_place(gap, recipe):
    setting = gap.Setting('runs', (3,), ann_file='/few.json')
    for run in gap.plan(recipe, setting, best=1000):
        given = options(run.commands[0])
        for place in recipe.labeled[run.config]:
            assert given[f'{place}.ann_file'] == '/few.json'


def test_settings_of_students_reach_their_trainings_alone(gap, recipe):
    plain = by_name(gap.plan(recipe, gap.Setting('runs', (3,)), best=1000))
    share = 'distill.mixing.labeled_share=0.3'
    setting = gap.Setting('runs', (3,), student_options=(share,))
    students = {'fusion', 'single_view', 'flip', 'all_candidates'}

    for name, run in by_name(gap.plan(recipe, setting, best=1000)).items():
        given, before = run.commands[0], plain[name].commands[0]
        added = [share] if name.partition('/')[2] in students else []
        assert [*given] == [*before, *added]


def test_arms_can_be_left_out_but_for_the_supervised_ones(gap, recipe):
    setting = gap.Setting('runs', (3,), arms=('flip',))
    names = {run.name for run in gap.plan(recipe, setting, best=1000)}
    assert {'seed3/flip', 'seed3/labels_flip', 'seed3/supervised_1000'} <= names
    assert not {'seed3/fusion', 'seed3/upper_bound'} & names


def test_ready_are_the_runs_whose_needs_are_finished(gap):
    runs = [gap.Run('a', 'c', ()), gap.Run('b', 'c', (), ('a',)), gap.Run('d', 'c', ())]

    def names(finished, begun):
        return [run.name for run in gap.ready(runs, finished, begun)]

    assert names((), ()) == ['a', 'd']
    assert names((), ('a',)) == ['d']
    assert names(('a',), ()) == ['b', 'd']
    assert names(('a', 'd'), ('b',)) == []


def test_the_students_own_length_is_tried_first(gap):
    assert gap.candidate_iterations(1000) == [1000, 500, 2000]


def test_an_arm_has_no_score_before_the_schedule_is_chosen(gap):
    assert gap.run_name('best_supervised', 0, 1000, None) == ''
    assert gap.run_name('best_supervised', 0, 1000, 500) == 'seed0/supervised_500'
    assert gap.run_name('supervised', 0, 1000, None) == 'seed0/supervised_1000'
