"""Plan of the comparison: its runs in order, as commands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

CANDIDATES = (0.5, 1.0, 2.0)
"""Lengths of the supervised schedules to try, relative to the student's."""

ONE_SCALE = (
    'distill.views.scales=[1.0]',
    'distill.views.aspect_ratios=[]',
    'distill.views.rotations=[]',
)
VIEWS = {
    'single_view': (*ONE_SCALE, 'distill.views.flip=False'),
    'flip': (*ONE_SCALE, 'distill.views.flip=True'),
    'fusion': (),
}
"""Arms with labels of their own, and the views of these labels."""

ARMS = {
    'best_supervised': 'supervised, its own best schedule',
    'supervised': "supervised, the student's iterations",
    'fusion': 'student, full fusion',
    'upper_bound': 'upper bound: true labels',
    'single_view': 'student, a single view',
    'all_candidates': 'student, full fusion, no count matching',
    'flip': 'student, flip only',
}
"""The arms, in order of importance."""


@dataclass(frozen=True)
class Recipe:
    """Properties of the three configs that the plan needs.

    Attributes:
        student: Path of the student's config.
        baseline: Path of the config that trains on the labeled set alone.
        upper_bound: Path of the config that trains on true labels.
        iterations: Iterations of the student.
        stated: Iterations that the configs state.
        schedulers: Settings of the learning rate that count iterations and end
            with the training, by their key in the config.
        labeled: Keys of the labeled set, by the path of the config.
    """

    student: str
    baseline: str
    upper_bound: str
    iterations: int
    stated: int
    schedulers: Mapping[str, int | Sequence[int]]
    labeled: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Setting:
    """Options of the user.

    Attributes:
        work_dir: Folder of the runs.
        seeds: Seeds, at least one; the first one chooses the schedule.
        arms: Arms to compare, keys of `ARMS`.
        ann_file: Annotations of the labeled images instead of the recipe's.
        student_options: Settings of the students' trainings beside the recipe's, each
            ``key=value``.
    """

    work_dir: str
    seeds: Sequence[int]
    arms: Collection[str] = tuple(ARMS)
    ann_file: str | None = None
    student_options: Sequence[str] = ()


@dataclass(frozen=True)
class Run:
    """A training with its test, or a labeling.

    Attributes:
        name: Seed and what is run; its folder below the work folder.
        config: Path of its config.
        commands: What is called one after the other, without the interpreter.
        needs: Names of the runs that it reads the results of.
    """

    name: str
    config: str
    commands: Sequence[Sequence[str]]
    needs: Sequence[str] = ()


def plan(recipe: Recipe, setting: Setting, best: int | None) -> list[Run]:
    """List the runs in the order of execution.

    While the best supervised schedule is unknown, these are the runs that decide it,
    and those of all seeds that do without a teacher.

    Args:
        recipe: The configs.
        setting: What the user chose.
        best: Iterations of the best supervised schedule; None while it is unknown.

    Returns:
        The runs, each after those that it needs.
    """
    runs: dict[str, Run] = {}
    for seed in setting.seeds:
        for arm in ARMS:
            if arm in setting.arms or arm in ('best_supervised', 'supervised'):
                for run in _runs_of(recipe, setting, seed, arm, best):
                    runs.setdefault(run.name, run)
    return list(runs.values())


def run_name(arm: str, seed: int, iterations: int, best: int | None) -> str:
    """Return the name of the run of an arm's score; empty while unknown.

    Args:
        arm: A key of `ARMS`.
        seed: The seed.
        iterations: Iterations of the student.
        best: Those of the best supervised schedule, if they are known.
    """
    if arm == 'supervised':
        return _supervised_name(seed, iterations)
    if arm == 'best_supervised':
        return _supervised_name(seed, best) if best else ''
    return f'seed{seed}/{arm}'


def candidate_iterations(iterations: int) -> list[int]:
    """Return the lengths of the supervised schedules to try, the student's first."""
    tried = [round(share * iterations) for share in CANDIDATES]
    return sorted(tried, key=lambda each: (each != iterations, each))


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


def _runs_of(
    recipe: Recipe, setting: Setting, seed: int, arm: str, best: int | None
) -> list[Run]:
    """List the runs of an arm and a seed, dependencies first."""
    if arm == 'supervised':
        return [_supervised(recipe, setting, seed, recipe.iterations)]
    if arm == 'best_supervised':
        lengths = [best] if best else []
        if seed == setting.seeds[0]:
            lengths += candidate_iterations(recipe.iterations)
        return [_supervised(recipe, setting, seed, length) for length in lengths]
    name = run_name(arm, seed, recipe.iterations, best)
    if arm == 'upper_bound':
        return [_training(recipe, setting, name, recipe.upper_bound)]
    if best is None:
        return []
    return _student(recipe, setting, seed, arm, best)


def _student(
    recipe: Recipe, setting: Setting, seed: int, arm: str, best: int
) -> list[Run]:
    teacher = _supervised_name(seed, best)
    views = 'fusion' if arm == 'all_candidates' else arm
    labels_name = f'seed{seed}/labels_{views}'
    folder = f'{setting.work_dir}/{labels_name}'
    checkpoint = f'{setting.work_dir}/{teacher}/iter_{best}.pth'
    options = [
        f'distill.teacher.checkpoint={checkpoint}',
        f'distill.store={folder}/store',
        *VIEWS[views],
    ]
    labeling = ['tools/label.py', recipe.student, '--work-dir', folder]
    labeling += ['--cfg-options', *options]
    labeling += _labeled_options(recipe, setting, recipe.student)
    labels = Run(labels_name, recipe.student, [labeling], [teacher])
    # Every arm has the same budget, so the schedule does not grow with the data.
    options.append('distill.schedule=None')
    if arm == 'all_candidates':
        options.append('distill.mixing.score_thr=0.0')
    options += setting.student_options
    name = run_name(arm, seed, recipe.iterations, best)
    trained = _training(recipe, setting, name, recipe.student, options)
    return [labels, Run(name, trained.config, trained.commands, [labels_name])]


def _supervised(recipe: Recipe, setting: Setting, seed: int, length: int) -> Run:
    name = _supervised_name(seed, length)
    return _training(recipe, setting, name, recipe.baseline, iterations=length)


def _training(
    recipe: Recipe,
    setting: Setting,
    name: str,
    config: str,
    options: Sequence[str] = (),
    iterations: int | None = None,
) -> Run:
    """Make a run of a training and the test of its last checkpoint."""
    length = iterations or recipe.iterations
    folder = f'{setting.work_dir}/{name}'
    seed = name.partition('/')[0].removeprefix('seed')
    training = ['tools/train.py', config, '--work-dir', folder, '--no-validate']
    training += ['--cfg-options', f'randomness.seed={seed}']
    training += _length_options(recipe, length)
    training += [*_labeled_options(recipe, setting, config), *options]
    test = ['tools/test.py', config, f'{folder}/iter_{length}.pth']
    test += ['--work-dir', f'{folder}/test', '--out', f'{folder}/metrics.json']
    return Run(name, config, [training, test])


def _length_options(recipe: Recipe, length: int) -> list[str]:
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


def _scaled(step: int, recipe: Recipe, length: int) -> int:
    return round(step * length / recipe.stated)


def _labeled_options(recipe: Recipe, setting: Setting, config: str) -> list[str]:
    if setting.ann_file is None:
        return []
    return [f'{key}.ann_file={setting.ann_file}' for key in recipe.labeled[config]]


def _supervised_name(seed: int, iterations: int) -> str:
    return f'seed{seed}/supervised_{iterations}'
