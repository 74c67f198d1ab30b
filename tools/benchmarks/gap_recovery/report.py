"""Tables and plot of the comparison."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.benchmarks.gap_recovery.metrics import Metric
from tools.benchmarks.gap_recovery.numbers import Scores, differences, gap_closed

SUPERVISED = ('best_supervised', 'supervised', 'best_stacked', 'stacked')
UPPER_BOUNDS = ('upper_bound', 'stacked_upper_bound')


@dataclass(frozen=True)
class Row:
    """Known results of an arm.

    Attributes:
        name: Its name.
        title: What it is called in tables.
        before: Names of the arms that it is compared with.
        iterations: Iterations of its own training; None while they are unknown.
        in_all: Iterations of all trainings that it needed, those of its teachers
            among them, tried schedules not.
        scores: Metrics by seed, by their names; those of unfinished runs left out.
    """

    name: str
    title: str
    before: Sequence[str]
    iterations: int | None
    in_all: int | None
    scores: Mapping[int, Mapping[str, float]]

    def of(self, metric: Metric) -> Scores:
        """Return a metric by seed."""
        return {seed: scores[metric.name] for seed, scores in self.scores.items()}


@dataclass(frozen=True)
class Report:
    """Known results of all arms.

    Attributes:
        rows: The arms, in the order of the table.
        metrics: The metrics to show.
        chosen_by: The metric that chose schedule and teacher.
        tried: Its value for the supervised schedules that were tried, by iterations,
            by what was trained.
        hours: Hours of a core that all finished runs took.
        student: Name of the arm that stands for the student.
    """

    rows: Sequence[Row]
    metrics: Sequence[Metric]
    chosen_by: Metric
    tried: Mapping[str, Mapping[int, float]]
    hours: float
    student: str = 'fusion'

    def finished(self) -> list[Row]:
        """Return the arms with results."""
        return [row for row in self.rows if row.scores]

    def row(self, name: str) -> Row | None:
        """Return an arm with results by its name."""
        return next((row for row in self.finished() if row.name == name), None)

    def group(self, names: Sequence[str], metric: Metric) -> list[Scores]:
        """Return a metric of the arms of some names that have results."""
        return [row.of(metric) for row in self.finished() if row.name in names]

    def gap_closed(self, row: Row, metric: Metric) -> float | None:
        """Compute the share of the gap that an arm closes; see `numbers.gap_closed`."""
        supervised = self.group(SUPERVISED, metric)
        upper_bounds = self.group(UPPER_BOUNDS, metric)
        scores = row.of(metric)
        return gap_closed(scores, supervised, upper_bounds, metric.lower_is_better)


def table(report: Report) -> str:
    """Format the arms, their differences and the choice, tables as Markdown."""
    return '\n'.join([*_scores(report), '', *_differences(report), *_choice(report)])


def figures(report: Report) -> dict[str, Any]:
    """Return the numbers of the table; None where runs are missing.

    Those outside of `arms` are of the metric that chose, the student and the better of
    the supervised trainings and upper bounds.
    """
    metric, student = report.chosen_by, report.row(report.student)
    return dict(
        metric=metric.title,
        baseline=_best(report, SUPERVISED, metric),
        student=_mean(student.of(metric)) if student else None,
        upper_bound=_best(report, UPPER_BOUNDS, metric),
        gap_closed=report.gap_closed(student, metric) if student else None,
        seeds=sorted(student.scores) if student else [],
        core_hours=round(report.hours, 2),
        student_arm=report.student,
        tried={name: dict(scores) for name, scores in report.tried.items()},
        arms={row.name: _arm_figures(report, row) for row in report.finished()},
    )


def draw_plot(report: Report, path: str) -> None:
    """Plot the scores of every seed, their means, and the gap."""
    rows = [*reversed(report.finished())]
    width, height = 2.4 + 2.6 * len(report.metrics), 1.2 + 0.32 * len(rows)
    figure = Figure(figsize=(width, height), layout='constrained')
    panels = figure.subplots(1, len(report.metrics), squeeze=False, sharey=True)[0]
    for axes, metric in zip(panels, report.metrics, strict=True):
        _draw_metric(axes, report, rows, metric)
    figure.savefig(path, dpi=120)


def _draw_metric(
    axes: Axes, report: Report, rows: Sequence[Row], metric: Metric
) -> None:
    for y, row in enumerate(rows):
        values = [*row.of(metric).values()]
        mean = statistics.fmean(values)
        color = '#1b7f5c' if row.name == report.student else '#555753'
        axes.plot(values, [y] * len(values), 'o', color=color, alpha=0.5)
        axes.plot([mean, mean], [y - 0.3, y + 0.3], color=color, lw=2.5)
        if row.name in (*SUPERVISED, *UPPER_BOUNDS):
            axes.axvline(mean, color='#3465a4', ls=':', lw=1)
    axes.set(ylim=(-0.6, len(rows) - 0.4))
    axes.set_xlabel(_explained(metric))
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    if metric.lower_is_better:
        axes.invert_xaxis()  # better is to the right, as everywhere


def _scores(report: Report) -> list[str]:
    """Format a row for each arm: lengths, metrics, shares of the gap."""
    has_gap = any(row.name in UPPER_BOUNDS for row in report.finished())
    columns = ['arm', 'iterations', 'in all', 'seeds']
    for metric in report.metrics:
        columns += [_explained(metric), *(['gap closed'] if has_gap else [])]
    lines = _header(columns)
    for row in report.finished():
        cells = [row.title, _count(row.iterations), _count(row.in_all)]
        cells.append(str(len(row.scores)))
        for metric in report.metrics:
            cells.append(_mean_and_deviation([*row.of(metric).values()], metric))
            cells += [_share(report.gap_closed(row, metric))] if has_gap else []
        lines.append(f'| {" | ".join(cells)} |')
    return lines


def _differences(report: Report) -> list[str]:
    """Format a row for each arm and each that it is compared with, seed by seed."""
    lines = []
    for row in report.finished():
        for other in map(report.row, row.before):
            if other is None or not set(row.scores) & set(other.scores):
                continue
            cells = [row.title, other.title]
            cells.append(str(len(set(row.scores) & set(other.scores))))
            for metric in report.metrics:
                ahead = differences(row.of(metric), other.of(metric))
                cells.append(_mean_and_deviation(ahead, metric, '+'))
            lines.append(f'| {" | ".join(cells)} |')
    columns = ['arm', 'minus', 'seeds', *map(_explained, report.metrics)]
    return [*_header(columns, texts=2), *lines, ''] if lines else []


def _choice(report: Report) -> list[str]:
    """Say what chose schedule and teacher, and how long all took."""
    lines = [
        f'{name}, {_explained(report.chosen_by)} of the first seed by iterations: '
        + ', '.join(f'{length:,}: {scores[length]:.4f}' for length in sorted(scores))
        for name, scores in report.tried.items()
        if scores
    ]
    if not lines:
        return []
    choice = f'schedule and teacher are chosen by {_explained(report.chosen_by)}'
    return [choice, *lines, f'{report.hours:.1f} hours of a core so far']


def _arm_figures(report: Report, row: Row) -> dict[str, Any]:
    metrics = {}
    for metric in report.metrics:
        values = row.of(metric)
        others = [other for other in map(report.row, row.before) if other]
        ahead = {other.name: differences(values, other.of(metric)) for other in others}
        metrics[metric.title] = dict(
            mean=_mean(values),
            deviation=_deviation([*values.values()]),
            gap_closed=report.gap_closed(row, metric),
            minus={
                name: dict(mean=statistics.fmean(each), deviation=_deviation(each))
                for name, each in ahead.items()
                if each
            },
        )
    return dict(
        iterations=row.iterations,
        in_all=row.in_all,
        seeds=sorted(row.scores),
        metrics=metrics,
    )


def _best(report: Report, names: Sequence[str], metric: Metric) -> float | None:
    best = min if metric.lower_is_better else max
    return best(map(_mean, report.group(names, metric)), default=None)


def _mean(scores: Scores) -> float:
    return statistics.fmean(scores.values())


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _mean_and_deviation(values: Sequence[float], metric: Metric, sign: str = '') -> str:
    """Format several seeds as mean ± sample deviation."""
    mean, deviation = statistics.fmean(values), _deviation(values)
    shown = metric.shown(mean, sign)
    return shown if deviation is None else f'{shown} ± {metric.shown(deviation)}'


def _header(columns: Sequence[str], texts: int = 1) -> list[str]:
    return [
        f'| {" | ".join(columns)} |',
        '|' + '---|' * texts + '---:|' * (len(columns) - texts),
    ]


def _explained(metric: Metric) -> str:
    return (
        f'{metric.title} (less is better)' if metric.lower_is_better else metric.title
    )


def _count(number: int | None) -> str:
    return '' if number is None else f'{number:,}'


def _share(share: float | None) -> str:
    return '' if share is None else f'{share:.0%}'
