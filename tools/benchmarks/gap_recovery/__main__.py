"""Train the student beside supervised arms, ablations and an upper bound.

All arms have the same seeds and the same number of iterations, but for supervised
training at the best of three lengths, chosen by the validation score of the first
seed. The teacher of a seed is its supervised run of that length. What students get
beside labels (noise, a finish, averaged weights) supervised training and upper bound
get in arms of their own. Every run is a command of tools/, shown before it begins,
with a folder of its own: a finished run is not done again unless what it is made of
changed, and a training that was stopped goes on from its last checkpoint. Stop it when
you like and start it again.

    python -m tools.benchmarks.gap_recovery configs/distill/lspe/student.py --jobs 2

The configs of the supervised runs and of the upper bound are baseline.py and
upper_bound.py beside CONFIG.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger

from mmdistill.cli.main import run
from mmdistill.config.files import recipe_file
from tools.benchmarks.gap_recovery.arms import (
    UPPER_BOUND,
    default_arms,
    students,
)
from tools.benchmarks.gap_recovery.comparison import Comparison
from tools.benchmarks.gap_recovery.metrics import choose_metrics, metrics_of
from tools.benchmarks.gap_recovery.plan import Recipe, Setting
from tools.benchmarks.gap_recovery.recipe import (
    check_teachers,
    read_recipe,
    write_subset,
)
from tools.benchmarks.gap_recovery.report import draw_plot, figures, table
from tools.benchmarks.gap_recovery.runs import Ledger, call, locked, work_off
from tools.benchmarks.gap_recovery.stacks import (
    STUDENT,
    distill_of,
    student_iterations,
    write_stack,
)


def set_up_processes(jobs: int, folder: Path) -> None:
    """Give each of the processes its share of the cores, unless the user did.

    The allocator keeps large blocks: without it a third of a training on CPUs is
    spent on getting the same memory again. Configs that are written for supervised
    arms find the modules beside the recipe. What these configs get is in the logs of
    their trainings, so this process does not say it.

    Args:
        jobs: Processes side by side.
        folder: The folder of the recipe.
    """
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ.setdefault(name, threads)
    os.environ.setdefault('MALLOC_MMAP_THRESHOLD_', str(2**32))
    os.environ.setdefault('MALLOC_TRIM_THRESHOLD_', str(2**33))
    os.environ.setdefault('PYTHONWARNINGS', 'ignore')
    paths = filter(None, [os.environ.get('PYTHONPATH'), str(folder.resolve())])
    os.environ['PYTHONPATH'] = os.pathsep.join(paths)


def setting_of_student(text: str) -> str:
    """Parse a setting of `--cfg-options`; refuse a wrong one before the first run."""
    key, equals, _ = text.partition('=')
    if not (key and equals):
        raise argparse.ArgumentTypeError(f'{text!r} must be KEY=VALUE')
    return text


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tools.benchmarks.gap_recovery',
        description=__doc__.partition('\n')[0],
    )
    add = parser.add_argument
    add('config', help='config of the student')
    add('--baseline', help='config on the labels alone; baseline.py beside CONFIG')
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        '--upper-bound', help='config on true labels; upper_bound.py beside CONFIG'
    )
    truth.add_argument(
        '--no-upper-bound', action='store_true', help='true labels are not known'
    )
    add('--work-dir', help='folder of the runs')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2], help='0 1 2 by default')
    add('--labeled', type=int, metavar='N', help='use N of the labeled images only')
    add('--iterations', type=int, help="of the student; the config's by default")
    add(
        '--student-options',
        type=setting_of_student,
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='settings of the students, e.g. distill.mixing.labeled_share=0.3',
    )
    add(
        '--arms',
        nargs='+',
        metavar='ARM',
        help='beside supervised ones: fusion, single_view, flip, all_candidates, '
        'upper_bound; an ingredient, several joined by +, or all of them: all',
    )
    add('--metrics', nargs='+', metavar='METRIC', help="all of the recipe's by default")
    add(
        '--choose-by',
        metavar='METRIC',
        help='chooses schedule and teacher; coco/AP where there is one, else the first',
    )
    add('--jobs', type=int, default=1, help='runs side by side, 1 by default')
    add('--plot', metavar='FILE', help='also draw the table, e.g. gap_recovery.png')
    add('--status', action='store_true', help='print the table so far, run nothing')
    return parser.parse_args(argv)


def prepare(arguments: argparse.Namespace) -> Comparison:
    """Build the comparison from the command line."""
    recipe, configs = read_recipe(
        arguments.config,
        arguments.baseline,
        arguments.upper_bound,
        arguments.iterations,
        not arguments.no_upper_bound,
    )
    metrics, choose_by = choose_metrics(
        metrics_of(configs[recipe.baseline]), arguments.metrics, arguments.choose_by
    )
    work_dir = _work_dir(arguments)
    ann_file = None
    if arguments.labeled:
        ann_file = work_dir.resolve() / 'labeled.json'
        write_subset(configs[recipe.baseline], arguments.labeled, ann_file)
    setting = _setting(arguments, recipe, configs, str(ann_file) if ann_file else None)
    contents: dict[str, Any] = {
        path: config.to_dict() for path, config in configs.items()
    }
    if recipe.round_configs:
        paths = [recipe.student, *recipe.round_configs]
        contents[recipe.student] = [contents[path] for path in paths]
    if setting.stack:
        for written in setting.stack.configs.values():
            contents[written.path] = written.content
    ledger = Ledger(work_dir, contents)
    return Comparison(recipe, setting, ledger, metrics, choose_by, call)


def _work_dir(arguments: argparse.Namespace) -> Path:
    name = Path(arguments.config).resolve().parent.name
    folder = arguments.work_dir or f'work_dirs/gap_recovery/{name}'
    return Path(folder, f'labeled_{arguments.labeled or "all"}')


def _setting(
    arguments: argparse.Namespace,
    recipe: Recipe,
    configs: Mapping[str, Config],
    ann_file: str | None,
) -> Setting:
    """Work out what students and supervised arms train."""
    options = arguments.student_options
    names = arguments.arms or default_arms(recipe.ingredients, recipe.of_boxes)
    arms = students(names, recipe.ingredients)
    check_teachers(recipe, arms)
    iterations, finished = {}, {}
    for arm in arms:
        distill = distill_of(recipe, configs, arm.ingredients, options)
        iterations[arm.name] = student_iterations(recipe, configs, distill)
        if 'rounds' in arm.ingredients:
            finished[arm.name] = STUDENT
    work_dir = _work_dir(arguments)
    return Setting(
        work_dir=str(work_dir),
        seeds=arguments.seeds,
        arms=arms,
        upper_bound=UPPER_BOUND in names,
        ann_file=ann_file,
        student_options=options,
        stack=write_stack(recipe, configs, arms, options, work_dir / 'configs'),
        iterations=iterations,
        finished=finished,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, run what is missing, print the table."""
    arguments = parse(argv)
    set_up_processes(arguments.jobs, recipe_file(arguments.config).parent)
    comparison = prepare(arguments)
    if not arguments.status:
        with locked(comparison.ledger.work_dir):
            work_off(comparison.plan, comparison.perform, arguments.jobs)
    report = comparison.report()
    runs, results = comparison.plan()
    status = f'{len(results)} of {len(runs)} runs are done'
    if not comparison.all_chosen:
        status += '; more follow when the supervised schedule is chosen'
    sys.stdout.write(f'{table(report)}\n{status}\n')
    if arguments.plot:
        draw_plot(report, arguments.plot)
    sys.stdout.write(json.dumps(figures(report)) + '\n')


if __name__ == '__main__':
    sys.exit(run(main))
