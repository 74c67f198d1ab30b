"""Train the student beside supervised arms, ablations and an upper bound.

All arms have the same seeds and the same number of iterations, but one: supervised
training at the best of three lengths, chosen by the validation score of the first
seed. The teacher of a seed is its supervised run of that length. Every run is a
command of tools/, shown before it begins, with a folder of its own: a finished run
is not done again unless what it is made of changed, and a training that was stopped
goes on from its last checkpoint. Stop it when you like and start it again.

    python -m tools.benchmarks.gap_recovery configs/distill/lspe/student.py --jobs 2

The configs of the supervised runs and of the upper bound are baseline.py and
upper_bound.py beside CONFIG.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdistill.cli.main import run
from mmdistill.errors import ConfigError
from mmdistill.utils.files import write_json
from tools.benchmarks.gap_recovery.numbers import best_schedule
from tools.benchmarks.gap_recovery.plan import (
    ARMS,
    Recipe,
    Run,
    Setting,
    candidate_iterations,
    plan,
    run_name,
)
from tools.benchmarks.gap_recovery.recipe import read_recipe, write_subset
from tools.benchmarks.gap_recovery.report import Report, draw_plot, figures, table
from tools.benchmarks.gap_recovery.runs import Ledger, call, locked, shown, work_off


class Comparison:
    """Plan and results so far.

    Args:
        recipe: The configs.
        setting: What the user chose.
        ledger: The results on disk.
        metrics: Names of the metrics; the first one chooses the schedule.
    """

    def __init__(
        self, recipe: Recipe, setting: Setting, ledger: Ledger, metrics: Sequence[str]
    ) -> None:
        self.recipe, self.setting = recipe, setting
        self.ledger, self.metrics = ledger, metrics
        self._one_at_a_time = threading.Lock()

    def tried(self) -> dict[int, float]:
        """Return the scores of the supervised schedules of the first seed."""
        results = self.ledger.results(plan(self.recipe, self.setting, None))
        scores: dict[int, float] = {}
        for length in candidate_iterations(self.recipe.iterations):
            name = self._name('best_supervised', self.setting.seeds[0], length)
            if name in results:
                scores[length] = self._scores(name, results[name])[self.metrics[0]]
        return scores

    def best(self) -> int | None:
        """Return the length of the best supervised schedule, once all were tried."""
        scores = self.tried()
        if len(scores) < len(candidate_iterations(self.recipe.iterations)):
            return None
        return best_schedule(scores)

    def plan(self) -> tuple[list[Run], Mapping[str, dict]]:
        """Return the runs planned so far, and the results of the finished ones."""
        runs = plan(self.recipe, self.setting, self.best())
        return runs, self.ledger.results(runs)

    def perform(self, run: Run) -> None:
        """Execute one run and report its result."""
        runs, results = self.plan()
        self._report(f'[{len(results)} of {len(runs)} done] {run.name}')

        def shown_call(command: Sequence[str], log: Path) -> float:
            self._report(f'$ {shown(command)}')
            return call(command, log)

        fingerprint = self.ledger.fingerprints(runs)[run.name]
        result = self.ledger.perform(run, fingerprint, shown_call)
        scores = self._scores(run.name, result) if result['metrics'] else {}
        metrics = [f'{name} {score:.4f}' for name, score in scores.items()]
        minutes = f'{result["seconds"] / 60:.0f} min of a core'
        self._report(f'{run.name}: {", ".join([*metrics, minutes])}')
        choice = dict(metric=self.metrics[0], scores=self.tried(), best=self.best())
        with self._one_at_a_time:
            write_json(self.ledger.work_dir / 'schedule.json', choice)

    def report(self) -> Report:
        """Return the known scores of every arm by seed."""
        best = self.best()
        _, results = self.plan()
        scores: dict[str, dict[int, dict[str, float]]] = {arm: {} for arm in ARMS}
        for arm, by_seed in scores.items():
            for seed in self.setting.seeds:
                name = self._name(arm, seed, best)
                if name in results:
                    by_seed[seed] = self._scores(name, results[name])
        return Report(
            scores=scores,
            metrics=self.metrics,
            iterations=self.recipe.iterations,
            best=best,
            tried=self.tried(),
            hours=sum(result['seconds'] for result in results.values()) / 3600,
        )

    def _name(self, arm: str, seed: int, best: int | None) -> str:
        return run_name(arm, seed, self.recipe.iterations, best)

    def _scores(self, name: str, result: Mapping[str, Any]) -> dict[str, float]:
        metrics = result['metrics']
        for metric in self.metrics:
            if metric not in metrics:
                raise ConfigError(
                    f'the test of {name} has no {metric}, only {", ".join(metrics)}; '
                    'choose with --metrics'
                )
        return {metric: metrics[metric] for metric in self.metrics}

    def _report(self, line: str) -> None:
        with self._one_at_a_time:
            sys.stdout.write(f'{line}\n')
            sys.stdout.flush()


def share_cores(jobs: int) -> None:
    """Give each of the processes its share of the cores, unless the user did.

    The allocator keeps large blocks: without it a third of a training on CPUs is
    spent on getting the same memory again.
    """
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ.setdefault(name, threads)
    os.environ.setdefault('MALLOC_MMAP_THRESHOLD_', str(2**32))
    os.environ.setdefault('MALLOC_TRIM_THRESHOLD_', str(2**33))
    os.environ.setdefault('PYTHONWARNINGS', 'ignore')


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
    add('--upper-bound', help='config on true labels; upper_bound.py beside CONFIG')
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
    add('--arms', nargs='+', choices=list(ARMS), default=list(ARMS), metavar='ARM')
    add('--metrics', nargs='+', default=['PCK', 'coco/AP'])
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
    )
    name = Path(arguments.config).resolve().parent.name
    size = arguments.labeled or 'all'
    folder = arguments.work_dir or f'work_dirs/gap_recovery/{name}'
    work_dir = Path(folder, f'labeled_{size}')
    ann_file = None
    if arguments.labeled:
        ann_file = work_dir.resolve() / 'labeled.json'
        write_subset(configs[recipe.baseline], arguments.labeled, ann_file)
    setting = Setting(
        str(work_dir),
        arguments.seeds,
        tuple(arguments.arms),
        str(ann_file) if ann_file else None,
        arguments.student_options,
    )
    return Comparison(recipe, setting, Ledger(work_dir, configs), arguments.metrics)


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, run what is missing, print the table."""
    arguments = parse(argv)
    share_cores(arguments.jobs)
    comparison = prepare(arguments)
    if not arguments.status:
        with locked(comparison.ledger.work_dir):
            work_off(comparison.plan, comparison.perform, arguments.jobs)
    report = comparison.report()
    runs, results = comparison.plan()
    status = f'{len(results)} of {len(runs)} runs are done'
    if report.best is None:
        status += '; more follow when the supervised schedule is chosen'
    sys.stdout.write(f'{table(report)}\n{status}\n')
    if arguments.plot:
        draw_plot(report, arguments.plot)
    sys.stdout.write(json.dumps(figures(report)) + '\n')


if __name__ == '__main__':
    sys.exit(run(main))
