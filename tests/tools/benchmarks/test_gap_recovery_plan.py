from __future__ import annotations

from dataclasses import replace

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


@pytest.fixture
def with_arms(gap, load):
    """A setting with some students of a recipe without ingredients of its own."""

    def with_arms(*names, **others):
        students = load('gap_recovery.arms').students(names, [])
        return gap.Setting('runs', (3,), students, **others)

    return with_arms


@pytest.fixture
def stack(gap):
    """Supervised trainings with a finish of a tenth."""
    written = {
        ('baseline.py', length): gap.Written(
            f'runs/configs/baseline_{length}.py', {}, length * 11 // 10, ['data.a']
        )
        for length in (500, 1000, 2000)
    }
    upper = gap.Written('runs/configs/upper.py', {}, 1100, ['data.a', 'data.b'])
    return gap.Stack(['noise', 'finish'], {**written, ('upper.py', 1000): upper})


@pytest.fixture
def plan_at(gap, recipe):
    """The runs by name, once the plain schedule is chosen."""

    def plan_at(setting, best=1000, stacked=None, recipe=recipe):
        runs = gap.plan(recipe, setting, gap.Best(best, stacked))
        return {run.name: run for run in runs}

    return plan_at


def options(command) -> dict[str, object]:
    """The overrides of a command, as the tools understand them."""
    import argparse

    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return parser.parse_known_args(list(command[1:]))[0].cfg_options


def test_a_seed_begins_with_its_supervised_runs_and_ends_with_the_least_telling(
    gap, recipe, setting
):
    runs = gap.plan(recipe, gap.Setting('runs', (3,)), gap.Best(500))
    assert [run.name.partition('/')[2] for run in runs] == [
        *('supervised_500', 'supervised_1000', 'supervised_2000'),
        *('labels_fusion', 'fusion', 'upper_bound'),
        *('labels_single_view', 'single_view'),
        *('all_candidates', 'labels_flip', 'flip'),
    ]


def test_only_the_first_seed_tries_schedules(setting, plan_at):
    names = plan_at(setting, 2000)
    assert 'seed3/supervised_500' in names
    assert 'seed4/supervised_500' not in names
    assert 'seed4/supervised_2000' in names


def test_until_the_schedule_is_chosen_nothing_needs_a_teacher(gap, recipe, setting):
    runs = gap.plan(recipe, setting, gap.Best())
    assert {run.name for run in runs} == {
        *(f'seed3/supervised_{length}' for length in (500, 1000, 2000)),
        *('seed3/upper_bound', 'seed4/supervised_1000', 'seed4/upper_bound'),
    }


@pytest.mark.parametrize('best', [500, 1000, 2000])
def test_a_run_comes_after_those_it_needs_and_once(gap, recipe, setting, best):
    seen: list[str] = []
    for run in gap.plan(recipe, setting, gap.Best(best)):
        assert set(run.needs) <= set(seen)
        seen.append(run.name)
    assert len(seen) == len(set(seen))


def test_the_teacher_is_what_the_best_schedule_of_its_seed_ended_with(setting, plan_at):
    labels = plan_at(setting, 2000)['seed4/labels_flip']
    assert labels.needs == ['seed4/supervised_2000']
    teacher = options(labels.commands[0])['distill.teacher.checkpoint']
    assert teacher == 'runs/seed4/supervised_2000/iter_2000.pth'


def test_all_candidates_read_the_labels_of_full_fusion(setting, plan_at):
    runs = plan_at(setting, 500)
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
def test_views_of_an_arm(setting, arm, views, plan_at):
    runs = plan_at(setting, 500)
    changed = options(runs[f'seed3/labels_{arm}'].commands[0])
    prefix = 'distill.views.'
    stated = {k.removeprefix(prefix): v for k, v in changed.items() if prefix in k}
    assert make_views(**{**RICH_VIEWS, **stated}) == views


@pytest.mark.parametrize(
    ('arm', 'views'),
    [('single_view', dict(scales=[1.0], flip=False)), ('flip', dict(scales=[1.0]))],
)
def test_a_detector_has_no_views_of_crops(setting, recipe, arm, views, plan_at):
    runs = plan_at(setting, 500, recipe=replace(recipe, of_boxes=True))
    changed = options(runs[f'seed3/labels_{arm}'].commands[0])
    prefix = 'distill.views.'
    stated = {k.removeprefix(prefix): v for k, v in changed.items() if prefix in k}
    assert stated == {'flip': True, **views}


def test_all_arms_of_a_seed_have_its_seed_and_the_same_length(gap, recipe, setting):
    for run in gap.plan(recipe, setting, gap.Best(1000)):
        training = options(run.commands[0])
        if 'labels_' not in run.name:
            assert f'seed{training["randomness.seed"]}/' in run.name
        if run.name.rpartition('_')[2] not in ('500', '2000'):
            assert 'train_cfg.max_iters' not in training


def test_another_length_moves_the_steps_of_the_learning_rate(setting, plan_at):
    runs = plan_at(setting, 1000)
    training = options(runs['seed3/supervised_500'].commands[0])
    assert training['train_cfg.max_iters'] == 500
    assert training['param_scheduler.1.milestones'] == [350, 450]


def test_what_is_tested_is_what_the_training_ends_with(setting, plan_at):
    runs = plan_at(setting, 1000)
    training, test = runs['seed3/supervised_2000'].commands
    assert '--no-validate' in training
    assert test[2] == 'runs/seed3/supervised_2000/iter_2000.pth'


def test_fewer_labels_reach_every_config_at_its_own_place(gap, recipe):
    setting = gap.Setting('runs', (3,), ann_file='/few.json')
    for run in gap.plan(recipe, setting, gap.Best(1000)):
        given = options(run.commands[0])
        for place in recipe.labeled[run.config]:
            assert given[f'{place}.ann_file'] == '/few.json'


def test_fewer_labels_reach_rounds_where_there_are_rounds(recipe, with_arms, plan_at):
    own = 'distill.rounds.settings.0.train_dataloader.dataset'
    labeled = {**recipe.labeled, 'student.py': ['train_dataloader.dataset', own]}
    recipe = replace(recipe, labeled=labeled, ingredients=['rounds'])
    setting = replace(with_arms('fusion', 'rounds'), ann_file='/few.json')
    runs = plan_at(setting, recipe=recipe)
    given = {
        name: options(runs[f'seed3/{name}'].commands[0])
        for name in ('labels_fusion', 'fusion', 'rounds')
    }
    for name, each in given.items():
        assert each['train_dataloader.dataset.ann_file'] == '/few.json'
        assert (f'{own}.ann_file' in each) == (name == 'rounds')
    assert given['fusion']['distill.rounds'] is None


def test_settings_of_students_reach_their_trainings_alone(gap, plan_at):
    plain = plan_at(gap.Setting('runs', (3,)))
    share = 'distill.mixing.labeled_share=0.3'
    setting = gap.Setting('runs', (3,), student_options=(share,))
    students = {'fusion', 'single_view', 'flip', 'all_candidates'}

    for name, run in plan_at(setting, 1000).items():
        given, before = run.commands[0], plain[name].commands[0]
        added = [share] if name.partition('/')[2] in students else []
        assert [*given] == [*before, *added]


def test_arms_can_be_left_out_but_for_the_supervised_ones(with_arms, plan_at):
    names = {*plan_at(with_arms('flip', upper_bound=False))}
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


def test_names_of_runs_tell_seed_schedule_and_ingredients(gap, stack):
    assert gap.supervised_name(0, 500) == 'seed0/supervised_500'
    assert gap.supervised_name(0, 500, stack) == 'seed0/supervised_500+noise+finish'
    assert gap.upper_bound_name(1) == 'seed1/upper_bound'
    assert gap.upper_bound_name(1, stack) == 'seed1/upper_bound+noise+finish'


def test_supervised_arms_with_the_students_noise_have_configs_of_their_own(
    with_arms, plan_at, stack
):
    setting = with_arms('noise+finish', stack=stack, ann_file='/few.json')
    runs = plan_at(setting, 500)
    training, test = runs['seed3/supervised_1000+noise+finish'].commands
    assert training[1] == 'runs/configs/baseline_1000.py'
    assert options(training) == {'randomness.seed': 3, 'data.a.ann_file': '/few.json'}
    # What only trains is no part of the test.
    assert test[1] == 'baseline.py'
    assert test[2] == 'runs/seed3/supervised_1000+noise+finish/iter_1100.pth'
    upper = runs['seed3/upper_bound+noise+finish']
    assert upper.commands[0][1] == 'runs/configs/upper.py'
    assert upper.commands[1][1:3] == (
        ['upper.py', 'runs/seed3/upper_bound+noise+finish/iter_1100.pth']
    )


def test_they_choose_a_schedule_of_their_own(with_arms, plan_at, stack):
    setting = with_arms('noise+finish', stack=stack)
    setting = replace(setting, seeds=(3, 4))
    names = {*plan_at(setting, 500, 2000)}
    assert {n for n in names if n.startswith('seed4/supervised')} == {
        *('seed4/supervised_500', 'seed4/supervised_1000'),
        *(f'seed4/supervised_{n}+noise+finish' for n in (1000, 2000)),
    }
    tried = [f'seed3/supervised_{n}+noise+finish' for n in (500, 1000, 2000)]
    assert {*tried} <= {*plan_at(setting, None)}


def test_the_teacher_has_no_noise(with_arms, plan_at, stack):
    runs = plan_at(with_arms('noise+finish', stack=stack), 500, 2000)
    assert runs['seed3/labels_fusion'].needs == ['seed3/supervised_500']


def test_an_ingredient_trains_on_the_labels_of_full_fusion(with_arms, plan_at):
    runs = plan_at(with_arms('fusion', 'noise'))
    noise = options(runs['seed3/noise'].commands[0])
    assert noise.pop('distill.noise.sources') is None
    assert noise == options(runs['seed3/fusion'].commands[0])
    assert runs['seed3/noise'].needs == ['seed3/labels_fusion']


def test_ingredients_of_labels_are_labeled_once_for_all_arms_with_them(
    with_arms, plan_at
):
    runs = plan_at(with_arms('resolutions', 'resolutions+noise'))
    labelings = [name for name in runs if '/labels_' in name]
    assert labelings == ['seed3/labels_fusion+resolutions']
    labels = options(runs[labelings[0]].commands[0])
    assert labels['distill.views.resolutions'] == [1.0, 1.33]
    for name in ('resolutions', 'resolutions+noise'):
        training = options(runs[f'seed3/{name}'].commands[0])
        assert training['distill.views.resolutions'] == [1.0, 1.33]
        assert training['distill.store'] == labels['distill.store']


def test_two_teachers_are_of_seeds_that_no_other_run_has(with_arms, plan_at):
    setting = replace(with_arms('two_teachers'), seeds=(3, 4))
    runs = plan_at(setting, 500)
    labels = runs['seed4/labels_fusion+two_teachers']
    assert labels.needs == ['seed4/supervised_500', 'seed4/teacher_2']
    assert options(labels.commands[0])['distill.teacher'] == [
        'runs/seed4/supervised_500/iter_500.pth',
        'runs/seed4/teacher_2/iter_500.pth',
    ]
    seeds = [
        options(run.commands[0])['randomness.seed']
        for name, run in runs.items()
        if 'supervised_500' in name or 'teacher_2' in name
    ]
    assert sorted(seeds) == [3, 4, 1003, 1004]
    second = options(runs['seed4/teacher_2'].commands[0])
    assert second['train_cfg.max_iters'] == 500


def test_a_large_teacher_is_trained_by_its_own_config(recipe, with_arms, plan_at):
    recipe = replace(
        recipe,
        teacher='large.py',
        teacher_iterations=70,
        ingredients=['large_teacher'],
        labeled={**recipe.labeled, 'large.py': ['train_dataloader.dataset']},
    )
    setting = replace(with_arms('fusion', 'large_teacher'), ann_file='few.json')
    runs = plan_at(setting, 500, recipe=recipe)
    teacher = runs['seed3/large_teacher_itself']
    assert teacher.config == 'large.py'
    assert options(teacher.commands[0]) == {
        'randomness.seed': 3,
        'train_dataloader.dataset.ann_file': 'few.json',
    }
    labels = runs['seed3/labels_fusion+large_teacher']
    assert labels.needs == ['seed3/large_teacher_itself']
    stated = options(labels.commands[0])
    assert stated['distill.teacher.checkpoint'] == (
        'runs/seed3/large_teacher_itself/iter_70.pth'
    )
    # The recipe's own teacher would be read by the large one's config.
    plain = options(runs['seed3/labels_fusion'].commands[0])
    assert plain['distill.teacher'] == ['runs/seed3/supervised_500/iter_500.pth']


def test_a_recipe_of_several_teachers_has_one_where_they_are_not_wanted(
    recipe, with_arms, plan_at
):
    recipe = replace(recipe, teachers=3, ingredients=['two_teachers'])
    runs = plan_at(with_arms('fusion', 'two_teachers'), recipe=recipe)
    one = options(runs['seed3/labels_fusion'].commands[0])['distill.teacher']
    assert one == ['runs/seed3/supervised_1000/iter_1000.pth']
    three = options(runs['seed3/labels_fusion+two_teachers'].commands[0])
    assert len(three['distill.teacher']) == 3


def test_ingredients_of_the_recipe_are_off_in_the_papers_method(
    recipe, with_arms, plan_at
):
    recipe = replace(recipe, ingredients=['resolutions', 'noise', 'finish'])
    runs = plan_at(with_arms('fusion', 'noise'), recipe=recipe)
    fusion = options(runs['seed3/fusion'].commands[0])
    assert fusion['distill.noise'] is None
    assert fusion['distill.finish'] is None
    assert fusion['distill.views.resolutions'] == [1.0]
    noise = options(runs['seed3/noise'].commands[0])
    assert 'distill.noise' not in noise
    assert noise['distill.finish'] is None


def test_a_student_is_tested_where_its_training_ends(with_arms, plan_at):
    lengths, ends = {'finish': 1100}, {'rounds': 'student.pth'}
    setting = with_arms('finish', 'rounds', iterations=lengths, finished=ends)
    runs = plan_at(setting)
    assert runs['seed3/finish'].commands[1][2] == 'runs/seed3/finish/iter_1100.pth'
    assert runs['seed3/rounds'].commands[1][2] == 'runs/seed3/rounds/student.pth'


def test_a_finish_goes_on_from_the_same_training_without_it(with_arms, plan_at, stack):
    stack = replace(stack, ingredients=['finish'])
    arms = ['finish', 'noise+finish', 'finish+ema', 'fusion', 'ema', 'noise']
    lengths = dict.fromkeys(('finish', 'noise+finish', 'finish+ema'), 1100)
    runs = plan_at(with_arms(*arms, stack=stack, iterations=lengths), 500, 1000)
    goes_on = {
        name: run.commands[0][3]
        for name, run in runs.items()
        if run.commands[0][2] == '--resume'
    }
    assert goes_on == {
        f'seed3/{run}': f'runs/seed3/{plain}/iter_{length}.pth'
        for run, plain, length in [
            ('supervised_500+finish', 'supervised_500', 500),
            ('supervised_1000+finish', 'supervised_1000', 1000),
            ('supervised_2000+finish', 'supervised_2000', 2000),
            ('upper_bound+finish', 'upper_bound', 1000),
            ('finish', 'fusion', 1000),
            ('noise+finish', 'noise', 1000),
        ]
    }
    names = [*runs]
    for name, checkpoint in goes_on.items():
        plain = checkpoint.removeprefix('runs/').rpartition('/')[0]
        assert plain in runs[name].needs
        assert names.index(plain) < names.index(name)


def test_a_finish_alone_is_trained_from_the_beginning(with_arms, plan_at, stack):
    stack = replace(stack, ingredients=['finish'])
    setting = replace(with_arms('finish', stack=stack), seeds=(3, 4))
    runs = plan_at(setting, 500, 2000)
    for name in ('seed4/supervised_2000+finish', 'seed3/finish'):
        assert '--resume' not in runs[name].commands[0]


def test_settings_of_an_absent_ingredient_do_not_turn_it_on(with_arms, plan_at):
    color = 'distill.noise.color=False'
    runs = plan_at(with_arms('fusion', 'noise', student_options=[color]))
    assert color in runs['seed3/noise'].commands[0]
    assert color not in runs['seed3/fusion'].commands[0]


def test_boxes_are_found_once_for_all_labels(recipe, with_arms, plan_at):
    recipe = replace(recipe, detects=True)
    setting = replace(with_arms('fusion', 'flip'), seeds=(3, 4))
    runs = plan_at(setting, recipe=recipe)
    assert runs['boxes'].commands[0][:2] == ['tools/detect.py', 'student.py']
    boxes = options(runs['boxes'].commands[0])['distill.detector.boxes']
    for name, run in runs.items():
        if '/labels_' in name:
            assert 'boxes' in run.needs
            assert options(run.commands[0])['distill.detector.boxes'] == boxes


def test_without_true_labels_there_is_no_such_run(recipe, setting, plan_at):
    runs = plan_at(setting, recipe=replace(recipe, upper_bound=None))
    assert not [name for name in runs if 'upper' in name]
    assert 'seed3/fusion' in runs
