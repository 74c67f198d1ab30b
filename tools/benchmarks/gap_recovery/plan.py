"""Plan of the comparison: its runs in order, as commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.benchmarks.gap_recovery.arms import (
    LARGE_TEACHER,
    PAPER,
    UPPER_BOUND,
    Arm,
    fitting_options,
    ingredient_options,
    joined,
    view_options,
)
from tools.benchmarks.gap_recovery.continued import Run, continued

CANDIDATES = (0.5, 1.0, 2.0)
"""Lengths of the supervised schedules to try, relative to the student's."""
TEACHER_SEEDS = 1000
"""Distance of the seeds of several teachers: no other run has them."""


@dataclass(frozen=True)
class Recipe:
    """Properties of the configs that the plan needs.

    Attributes:
        student: Path of the student's config.
        baseline: Path of the config that trains on the labeled set alone.
        upper_bound: Path of the config that trains on true labels; None without.
        iterations: Iterations of the student.
        stated: Iterations that the configs state.
        schedulers: Settings of the learning rate that count iterations and end
            with the training, by their key in the config.
        labeled: Keys of the labeled set, by the path of the config.
        ann_file: Annotation file of the labeled set, as the baseline states it.
        ingredients: Ingredients that the student's config states.
        teachers: Teachers that it states.
        teacher: Path of the config of its teacher, where it states one.
        teacher_iterations: Iterations that it trains.
        detects: Whether a detector finds its boxes, for which it states no folder.
        of_boxes: Whether it distills a detector.
        round_configs: Paths of the configs that single rounds have instead.
    """

    student: str
    baseline: str
    upper_bound: str | None
    iterations: int
    stated: int
    schedulers: Mapping[str, int | Sequence[int]]
    labeled: Mapping[str, Sequence[str]]
    ann_file: str = ''
    ingredients: Sequence[str] = ()
    teachers: int = 1
    teacher: str | None = None
    teacher_iterations: int = 0
    detects: bool = False
    of_boxes: bool = False
    round_configs: Sequence[str] = ()


@dataclass(frozen=True)
class Written:
    """A config that was written for a supervised training with ingredients.

    Attributes:
        path: The file.
        content: What it states.
        iterations: Iterations that it trains, those of the finish among them.
        labeled: Keys of the labeled set.
    """

    path: str
    content: Mapping[str, Any]
    iterations: int
    labeled: Sequence[str]


@dataclass(frozen=True)
class Stack:
    """What supervised trainings get of the students: noise, finish and EMA.

    Attributes:
        ingredients: Names of these ingredients, at least one.
        configs: Config of a training by the path of the recipe's own one and the
            length of its schedule.
    """

    ingredients: Sequence[str]
    configs: Mapping[tuple[str, int], Written]


@dataclass(frozen=True)
class Setting:
    """Options of the user, and what follows from them.

    Attributes:
        work_dir: Folder of the runs.
        seeds: Seeds, at least one; the first one chooses the schedule.
        arms: The students to compare, in order of importance.
        upper_bound: Whether true labels are an arm.
        ann_file: Annotations of the labeled images instead of the recipe's.
        student_options: Settings of the students' trainings beside the recipe's, each
            ``key=value``.
        stack: What supervised trainings get beside the plain ones; None for nothing.
        iterations: Iterations that students train, where they are not the recipe's:
            those of a finish and of all rounds, by the name of the arm.
        finished: Name of the checkpoint to test, by the name of the arm, where it is
            not that of the last iteration.
    """

    work_dir: str
    seeds: Sequence[int]
    arms: Sequence[Arm] = PAPER
    upper_bound: bool = True
    ann_file: str | None = None
    student_options: Sequence[str] = ()
    stack: Stack | None = None
    iterations: Mapping[str, int] = field(default_factory=dict)
    finished: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Best:
    """Lengths of the best supervised schedules; None while they are unknown.

    Attributes:
        plain: Iterations of that of the recipe, which trains the teachers too.
        stacked: Iterations of that with the students' noise, finish and EMA.
    """

    plain: int | None = None
    stacked: int | None = None


def plan(recipe: Recipe, setting: Setting, best: Best) -> list[Run]:
    """List the runs in the order of execution.

    While the best supervised schedules are unknown, these are the runs that decide it,
    and those of all seeds that do without a teacher.

    Args:
        recipe: The configs.
        setting: What the user chose.
        best: The best supervised schedules.

    Returns:
        The runs, each after those that it needs.
    """
    runs: dict[str, Run] = {}
    for seed in setting.seeds:
        for run in _runs_of_seed(recipe, setting, seed, best):
            runs.setdefault(run.name, run)
    return continued(list(runs.values()))


def supervised_name(seed: int, length: int, stack: Stack | None = None) -> str:
    """Name the run of a supervised training.

    Args:
        seed: Its seed.
        length: Iterations of its schedule, without a finish.
        stack: What it has of the students; None for nothing.
    """
    return _stacked_name(f'seed{seed}/supervised_{length}', stack)


def upper_bound_name(seed: int, stack: Stack | None = None) -> str:
    """Name the run of a training on true labels, likewise."""
    return _stacked_name(f'seed{seed}/{UPPER_BOUND}', stack)


def student_name(seed: int, arm: Arm) -> str:
    """Name the run of a student."""
    return f'seed{seed}/{arm.name}'


def large_teacher_name(seed: int) -> str:
    """Name the run of the teacher of a config of its own."""
    return f'seed{seed}/{LARGE_TEACHER}_itself'


def teacher_iterations(recipe: Recipe, arm: Arm, best: int) -> int:
    """Return the iterations of an arm's teachers, of which plain ones train `best`."""
    if LARGE_TEACHER in arm.ingredients:
        return recipe.teacher_iterations
    return num_teachers(recipe, arm) * best


def num_teachers(recipe: Recipe, arm: Arm) -> int:
    """Return the number of teachers of an arm's labels."""
    return max(2, recipe.teachers) if 'two_teachers' in arm.ingredients else 1


def candidate_iterations(iterations: int) -> list[int]:
    """Return the lengths of the supervised schedules to try, the student's first."""
    tried = [round(share * iterations) for share in CANDIDATES]
    return sorted(tried, key=lambda each: (each != iterations, each))


def length_options(recipe: Recipe, length: int) -> list[str]:
    """Return options that change the length of a training but not its warm-up."""
    if length == recipe.stated:
        return []
    options = [f'train_cfg.max_iters={length}']
    for key, value in recipe.schedulers.items():
        if isinstance(value, int):
            options.append(f'{key}={_scaled(value, recipe, length)}')
        else:
            steps = ','.join(str(_scaled(step, recipe, length)) for step in value)
            options.append(f'{key}=[{steps}]')
    return options


def ready(
    runs: Sequence[Run], finished: Collection[str], begun: Collection[str]
) -> list[Run]:
    """List the runs that can begin, in their order.

    Args:
        runs: The plan.
        finished: Names of the runs that are done.
        begun: Names of the runs that are going on.
    """
    return [
        run
        for run in runs
        if run.name not in finished
        and run.name not in begun
        and all(name in finished for name in run.needs)
    ]


def _runs_of_seed(recipe: Recipe, setting: Setting, seed: int, best: Best) -> list[Run]:
    """List the runs of a seed, dependencies first."""
    runs = _supervised_runs(recipe, setting, seed, best.plain, None)
    if setting.stack:
        runs += _supervised_runs(recipe, setting, seed, best.stacked, setting.stack)
    first, *others = setting.arms or [None]
    if first is not None:
        runs += _student_runs(recipe, setting, seed, first, best.plain)
    if setting.upper_bound and recipe.upper_bound:
        runs.append(_true_labels(recipe, setting, seed, None))
        if setting.stack:
            runs.append(_true_labels(recipe, setting, seed, setting.stack))
    for arm in others:
        runs += _student_runs(recipe, setting, seed, arm, best.plain)
    return runs


def _supervised_runs(
    recipe: Recipe, setting: Setting, seed: int, best: int | None, stack: Stack | None
) -> list[Run]:
    """List the supervised runs of a seed: the first seed tries all schedules."""
    lengths = [recipe.iterations, *([best] if best else [])]
    if seed == setting.seeds[0]:
        lengths = [best] if best else []
        lengths += candidate_iterations(recipe.iterations)
    return [_supervised(recipe, setting, seed, length, stack) for length in lengths]


def _student_runs(
    recipe: Recipe, setting: Setting, seed: int, arm: Arm, best: int | None
) -> list[Run]:
    """List the runs of a student: its teachers, boxes, labels, and training."""
    if best is None:
        return []
    boxes = [_detection(recipe, setting)] if recipe.detects else []
    if LARGE_TEACHER in arm.ingredients:
        teachers = [_large_teacher(recipe, setting, seed)]
        last = recipe.teacher_iterations
    else:
        number, last = num_teachers(recipe, arm), best
        teachers = _teachers(recipe, setting, seed, best, number)
    labels_name = f'seed{seed}/{arm.labels}'
    folder = f'{setting.work_dir}/{labels_name}'
    checkpoints = [f'{setting.work_dir}/{run.name}/iter_{last}.pth' for run in teachers]
    options = [
        _teacher_option(recipe, arm, checkpoints),
        f'distill.store={folder}/store',
        *(_boxes_option(setting) if boxes else []),
        *view_options(arm.views, recipe.of_boxes),
        *ingredient_options(arm.ingredients, recipe.ingredients, of_labels=True),
    ]
    labeling = ['tools/label.py', recipe.student, '--work-dir', folder]
    labeling += ['--cfg-options', *options]
    labeling += _student_labeled(recipe, setting, ())
    needs = [run.name for run in (*teachers, *boxes)]
    labels = Run(labels_name, recipe.student, [labeling], needs)
    # Every arm has the same budget, so the schedule does not grow with the data.
    options.append('distill.schedule=None')
    options += ingredient_options(arm.ingredients, recipe.ingredients, of_labels=False)
    options += [*arm.options]
    options += fitting_options(arm.ingredients, setting.student_options)
    trained = _student_training(recipe, setting, seed, arm, options)
    return [*teachers, *boxes, labels, trained]


def _student_training(
    recipe: Recipe, setting: Setting, seed: int, arm: Arm, options: Sequence[str]
) -> Run:
    name = student_name(seed, arm)
    length = setting.iterations.get(arm.name, recipe.iterations)
    options = [
        *length_options(recipe, recipe.iterations),
        *_student_labeled(recipe, setting, arm.ingredients),
        *options,
    ]
    checkpoint = setting.finished.get(arm.name, f'iter_{length}.pth')
    command = _training(setting, name, recipe.student, seed, options)
    test = _test(setting, name, recipe.student, checkpoint)
    needs = [f'seed{seed}/{arm.labels}']
    return Run(name, recipe.student, [command, test], needs)


def _teachers(
    recipe: Recipe, setting: Setting, seed: int, best: int, number: int
) -> list[Run]:
    """List the trainings of a seed's teachers, each of a seed of its own."""
    teachers = [_supervised(recipe, setting, seed, best, None)]
    for i in range(1, number):
        name = f'seed{seed}/teacher_{i + 1}'
        own = seed + i * TEACHER_SEEDS
        teachers.append(_trained(recipe, setting, name, recipe.baseline, best, own))
    return teachers


def _large_teacher(recipe: Recipe, setting: Setting, seed: int) -> Run:
    """Make the run of the teacher of a config of its own, at its own length."""
    config, name = recipe.teacher, large_teacher_name(seed)
    assert config is not None  # arms with it are refused without one
    options = _labeled_options(setting, recipe.labeled[config])
    last = f'iter_{recipe.teacher_iterations}.pth'
    training = _training(setting, name, config, seed, options)
    return Run(name, config, [training, _test(setting, name, config, last)])


def _teacher_option(recipe: Recipe, arm: Arm, checkpoints: Sequence[str]) -> str:
    """Return the setting that names the teachers, whatever the recipe names."""
    has_own = LARGE_TEACHER in arm.ingredients or recipe.teacher is None
    if has_own and len(checkpoints) == recipe.teachers == 1:
        return f'distill.teacher.checkpoint={checkpoints[0]}'
    return f'distill.teacher=[{",".join(checkpoints)}]'


def _detection(recipe: Recipe, setting: Setting) -> Run:
    """Make the run that finds the boxes, which all labels have in common."""
    folder = f'{setting.work_dir}/boxes'
    command = ['tools/detect.py', recipe.student, '--work-dir', folder]
    command += ['--cfg-options', *_boxes_option(setting)]
    command += _student_labeled(recipe, setting, ())
    return Run('boxes', recipe.student, [command])


def _boxes_option(setting: Setting) -> list[str]:
    return [f'distill.detector.boxes={setting.work_dir}/boxes/store']


def _supervised(
    recipe: Recipe, setting: Setting, seed: int, length: int, stack: Stack | None
) -> Run:
    name = supervised_name(seed, length, stack)
    return _trained(recipe, setting, name, recipe.baseline, length, seed, stack)


def _true_labels(
    recipe: Recipe, setting: Setting, seed: int, stack: Stack | None
) -> Run:
    config = recipe.upper_bound
    assert config is not None  # the caller asked
    name = upper_bound_name(seed, stack)
    return _trained(recipe, setting, name, config, recipe.iterations, seed, stack)


def _trained(
    recipe: Recipe,
    setting: Setting,
    name: str,
    config: str,
    length: int,
    seed: int,
    stack: Stack | None = None,
) -> Run:
    """Make a run of a training without labels of a teacher, and its test.

    The test is that of the recipe's own config: what only trains has no part in it.
    """
    if stack is None:
        path, total = config, length
        options = [*length_options(recipe, length)]
        labeled = recipe.labeled[config]
    else:
        written = stack.configs[config, length]
        path, total, labeled = written.path, written.iterations, written.labeled
        options = []
    options += _labeled_options(setting, labeled)
    training = _training(setting, name, path, seed, options)
    return Run(
        name, path, [training, _test(setting, name, config, f'iter_{total}.pth')]
    )


def _training(
    setting: Setting, name: str, config: str, seed: int, options: Sequence[str]
) -> list[str]:
    folder = f'{setting.work_dir}/{name}'
    command = ['tools/train.py', config, '--work-dir', folder, '--no-validate']
    return [*command, '--cfg-options', f'randomness.seed={seed}', *options]


def _test(setting: Setting, name: str, config: str, checkpoint: str) -> list[str]:
    folder = f'{setting.work_dir}/{name}'
    command = ['tools/test.py', config, f'{folder}/{checkpoint}']
    return [*command, '--work-dir', f'{folder}/test', '--out', f'{folder}/metrics.json']


def _scaled(step: int, recipe: Recipe, length: int) -> int:
    return round(step * length / recipe.stated)


def _labeled_options(setting: Setting, keys: Sequence[str]) -> list[str]:
    if setting.ann_file is None:
        return []
    return [f'{key}.ann_file={setting.ann_file}' for key in keys]


def _student_labeled(
    recipe: Recipe, setting: Setting, ingredients: Collection[str]
) -> list[str]:
    """Name the labeled set of a student, where it has rounds that of each."""
    options = _labeled_options(setting, recipe.labeled[recipe.student])
    return fitting_options(ingredients, options)


def _stacked_name(name: str, stack: Stack | None) -> str:
    return joined(name, stack.ingredients) if stack else name
