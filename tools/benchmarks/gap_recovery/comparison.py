"""A comparison that goes on: what is planned, what is done, and what came out."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdistill.errors import ConfigError
from mmdistill.utils.files import write_json
from tools.benchmarks.gap_recovery.arms import LARGE_TEACHER
from tools.benchmarks.gap_recovery.metrics import Metric
from tools.benchmarks.gap_recovery.numbers import best_schedule
from tools.benchmarks.gap_recovery.plan import (
    Best,
    Recipe,
    Run,
    Setting,
    Stack,
    candidate_iterations,
    large_teacher_name,
    plan,
    student_name,
    supervised_name,
    teacher_iterations,
    upper_bound_name,
)
from tools.benchmarks.gap_recovery.report import UPPER_BOUNDS, Report, Row
from tools.benchmarks.gap_recovery.runs import Execute, Ledger, shown

TITLES: dict[str, tuple[str, Sequence[str]]] = {
    'best_supervised': ('supervised{}, its own best schedule', ()),
    'supervised': ("supervised{}, the student's schedule", ()),
    'best_stacked': ('supervised{}, its own best schedule', ('best_supervised',)),
    'stacked': ("supervised{}, the student's schedule", ('supervised',)),
    'upper_bound': ('upper bound: true labels{}', ()),
    'stacked_upper_bound': ('upper bound: true labels{}', ('upper_bound',)),
}
"""Titles of arms without labels of a teacher, and what each is compared with."""


class Comparison:
    """Plan and results so far.

    Args:
        recipe: The configs.
        setting: What the user chose.
        ledger: The results on disk.
        metrics: The metrics to show.
        choose_by: The metric that chooses the schedules, and so the teacher.
        execute: Runs a command.
    """

    def __init__(
        self,
        recipe: Recipe,
        setting: Setting,
        ledger: Ledger,
        metrics: Sequence[Metric],
        choose_by: Metric,
        execute: Execute,
    ) -> None:
        self.recipe, self.setting, self.ledger = recipe, setting, ledger
        self.metrics, self.choose_by = metrics, choose_by
        self._execute = execute
        self._one_at_a_time = threading.Lock()

    def tried(self, stack: Stack | None = None) -> dict[int, float]:
        """Return the scores of the supervised schedules of the first seed.

        Args:
            stack: What was trained has of the students; None for nothing.
        """
        results = self.ledger.results(plan(self.recipe, self.setting, Best()))
        scores: dict[int, float] = {}
        for length in candidate_iterations(self.recipe.iterations):
            name = supervised_name(self.setting.seeds[0], length, stack)
            if name in results:
                values = self._scores(name, results[name])
                scores[length] = values[self.choose_by.name]
        return scores

    def best(self) -> Best:
        """Return the lengths of the best schedules, each once all were tried."""
        stack = self.setting.stack
        return Best(self._best(None), self._best(stack) if stack else None)

    def plan(self) -> tuple[list[Run], Mapping[str, dict]]:
        """Return the runs planned so far, and the results of the finished ones."""
        runs = plan(self.recipe, self.setting, self.best())
        return runs, self.ledger.results(runs)

    @property
    def all_chosen(self) -> bool:
        """Whether all schedules are chosen, so that all runs are planned."""
        best = self.best()
        return best.plain is not None and not (
            self.setting.stack and best.stacked is None
        )

    def perform(self, run: Run) -> None:
        """Execute one run and report its result."""
        runs, results = self.plan()
        self._report(f'[{len(results)} of {len(runs)} done] {run.name}')

        def shown_call(command: Sequence[str], log: Path) -> float:
            self._report(f'$ {shown(command)}')
            return self._execute(command, log)

        fingerprint = self.ledger.fingerprints(runs)[run.name]
        result = self.ledger.perform(run, fingerprint, shown_call)
        scores = self._scores(run.name, result) if result['metrics'] else {}
        values = [
            f'{metric.title} {scores[metric.name]:.4f}'
            for metric in self.metrics
            if scores
        ]
        minutes = f'{result["seconds"] / 60:.0f} min of a core'
        self._report(f'{run.name}: {", ".join([*values, minutes])}')
        with self._one_at_a_time:
            write_json(self.ledger.work_dir / 'schedule.json', self._choice())

    def report(self) -> Report:
        """Return the known scores of every arm by seed."""
        _, results = self.plan()
        stack = self.setting.stack
        tried = {'supervised': self.tried()}
        if stack:
            tried[f'supervised + {_words(stack)}'] = self.tried(stack)
        most = max(
            self.setting.arms, key=lambda arm: len(arm.ingredients), default=None
        )
        return Report(
            rows=[
                *self._supervised(results),
                *self._large_teacher(results),
                *self._students(results),
            ],
            metrics=self.metrics,
            chosen_by=self.choose_by,
            tried=tried,
            hours=sum(result['seconds'] for result in results.values()) / 3600,
            student=most.name if most else 'fusion',
        )

    def _best(self, stack: Stack | None) -> int | None:
        scores = self.tried(stack)
        if len(scores) < len(candidate_iterations(self.recipe.iterations)):
            return None
        return best_schedule(scores, self.choose_by.lower_is_better)

    def _choice(self) -> dict[str, Any]:
        best, stack = self.best(), self.setting.stack
        choice: dict[str, Any] = dict(
            metric=self.choose_by.name, scores=self.tried(), best=best.plain
        )
        if stack:
            choice['stacked'] = dict(scores=self.tried(stack), best=best.stacked)
        return choice

    def _supervised(self, results: Mapping[str, dict]) -> list[Row]:
        """Return the arms without labels of a teacher."""
        best, stack = self.best(), self.setting.stack
        length, seeds = self.recipe.iterations, self.setting.seeds
        arms: list[tuple[str, int | None, Stack | None]] = [
            ('best_supervised', best.plain, None),
            ('supervised', length, None),
        ]
        if stack:
            arms += [('best_stacked', best.stacked, stack), ('stacked', length, stack)]
        if self.setting.upper_bound and self.recipe.upper_bound:
            arms.append(('upper_bound', length, None))
            if stack:
                arms.append(('stacked_upper_bound', length, stack))
        rows = []
        for arm, schedule, each in arms:
            title, before = TITLES[arm]
            title = title.format(f' + {_words(each)}' if each else '')
            total, names = None, {}
            if schedule is not None and arm in UPPER_BOUNDS:
                total = self._total(self.recipe.upper_bound, schedule, each)
                names = {seed: upper_bound_name(seed, each) for seed in seeds}
            elif schedule is not None:
                total = self._total(self.recipe.baseline, schedule, each)
                names = {s: supervised_name(s, schedule, each) for s in seeds}
            scores = self._by_seed(results, names)
            rows.append(Row(arm, title, before, total, total, scores))
        return rows

    def _large_teacher(self, results: Mapping[str, dict]) -> list[Row]:
        """Return the large teacher itself, in a single view, where an arm has it."""
        if not any(LARGE_TEACHER in arm.ingredients for arm in self.setting.arms):
            return []
        names = {seed: large_teacher_name(seed) for seed in self.setting.seeds}
        length = self.recipe.teacher_iterations
        scores = self._by_seed(results, names)
        title = 'the large teacher itself'
        return [Row(f'{LARGE_TEACHER}_itself', title, (), length, length, scores)]

    def _students(self, results: Mapping[str, dict]) -> list[Row]:
        """Return the arms with labels of a teacher."""
        best, rows = self.best().plain, []
        for arm in self.setting.arms:
            names = {seed: student_name(seed, arm) for seed in self.setting.seeds}
            own = self.setting.iterations.get(arm.name, self.recipe.iterations)
            in_all = None
            if best is not None:
                in_all = own + teacher_iterations(self.recipe, arm, best)
            found = self._by_seed(results, names)
            rows.append(Row(arm.name, arm.title, arm.before, own, in_all, found))
        return rows

    def _total(self, config: str | None, length: int, stack: Stack | None) -> int:
        if stack is None or config is None:
            return length
        return stack.configs[config, length].iterations

    def _by_seed(
        self, results: Mapping[str, dict], names: Mapping[int, str]
    ) -> dict[int, dict[str, float]]:
        return {
            seed: self._scores(name, results[name])
            for seed, name in names.items()
            if name in results
        }

    def _scores(self, name: str, result: Mapping[str, Any]) -> dict[str, float]:
        metrics = result['metrics']
        scores = {}
        for metric in (*self.metrics, self.choose_by):
            if metric.name not in metrics:
                raise ConfigError(
                    f'the test of {name} has no {metric.name}, only '
                    f'{", ".join(metrics)}; choose with --metrics and --choose-by'
                )
            value = metrics[metric.name]
            if value is None or not math.isfinite(value):
                raise ConfigError(
                    f'the test of {name} gave {metric.name} {value}, which is no '
                    'number; choose others with --metrics and --choose-by'
                )
            scores[metric.name] = value
        return scores

    def _report(self, line: str) -> None:
        with self._one_at_a_time:
            sys.stdout.write(f'{line}\n')
            sys.stdout.flush()


def _words(stack: Stack) -> str:
    names = ('EMA' if each == 'ema' else each for each in stack.ingredients)
    return ' + '.join(names)
