"""Table and plot of the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdistill.reports.results_table import mean_and_deviation
from tools.benchmarks.gap_recovery.numbers import Scores, differences, gap_closed
from tools.benchmarks.gap_recovery.plan import ARMS

SUPERVISED = ('best_supervised', 'supervised')


@dataclass(frozen=True)
class Report:
    """Known results of all arms.

    Attributes:
        scores: Metrics by arm and seed, those of unfinished runs left out.
        metrics: Names of the metrics to show.
        iterations: Iterations of all arms but the supervised one at its best.
        best: Iterations of that one; None while they are unknown.
        tried: Score of the supervised schedules that were tried, by iterations.
        hours: Hours of a core that all finished runs took.
    """

    scores: Mapping[str, Mapping[int, Mapping[str, float]]]
    metrics: Sequence[str]
    iterations: int
    best: int | None
    tried: Mapping[int, float]
    hours: float

    def of(self, arm: str, metric: str) -> Scores:
        """Return a metric of an arm by seed."""
        return {seed: scores[metric] for seed, scores in self.scores[arm].items()}

    def gap_closed(self, arm: str, metric: str) -> float | None:
        """Compute the share of the gap that an arm closes; see `numbers.gap_closed`."""
        supervised = [self.of(each, metric) for each in SUPERVISED]
        upper_bound = self.of('upper_bound', metric)
        known = [each for each in supervised if each]
        return gap_closed(self.of(arm, metric), known, upper_bound)


def table(report: Report) -> str:
    """Format the arms as a Markdown table, and the lead of full fusion over each."""
    names = [name.rpartition('/')[2] for name in report.metrics]
    columns = [column for name in names for column in (name, f'gap closed, {name}')]
    lines = [f'| arm | iterations | seeds | {" | ".join(columns)} |']
    lines.append('|---|---:|---:|' + '---:|' * len(columns))
    for arm, title in ARMS.items():
        if not report.scores[arm]:
            continue
        length = report.best if arm == 'best_supervised' else report.iterations
        cells = [title, f'{length:,}', str(len(report.scores[arm]))]
        for metric in report.metrics:
            cells.append(mean_and_deviation(list(report.of(arm, metric).values())))
            cells.append(_share(report.gap_closed(arm, metric)))
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join([*lines, '', *_ahead(report), *_told_schedule(report)])


def figures(report: Report) -> dict[str, Any]:
    """Return the numbers of the first metric; None where runs are missing."""
    metric = report.metrics[0]

    def mean(arm: str) -> float | None:
        values = report.of(arm, metric).values()
        return sum(values) / len(values) if values else None

    supervised = [mean(arm) for arm in SUPERVISED]
    return dict(
        metric=metric,
        baseline=max((each for each in supervised if each is not None), default=None),
        student=mean('fusion'),
        upper_bound=mean('upper_bound'),
        gap_closed=report.gap_closed('fusion', metric),
        seeds=sorted(report.scores['fusion']),
        core_hours=round(report.hours, 2),
    )


def draw_plot(report: Report, path: str) -> None:
    """Plot the scores of every seed, their means, and the gap."""
    figure = Figure(figsize=(5.2 * len(report.metrics), 3.6), layout='constrained')
    panels = figure.subplots(1, len(report.metrics), squeeze=False, sharey=True)[0]
    for axes, metric in zip(panels, report.metrics, strict=True):
        _draw_metric(axes, report, metric)
    figure.savefig(path, dpi=120)


def _draw_metric(axes: Axes, report: Report, metric: str) -> None:
    arms = list(reversed(ARMS))
    for row, arm in enumerate(arms):
        values = list(report.of(arm, metric).values())
        if not values:
            continue
        mean = sum(values) / len(values)
        color = '#1b7f5c' if arm == 'fusion' else '#555753'
        axes.plot(values, [row] * len(values), 'o', color=color, alpha=0.5)
        axes.plot([mean, mean], [row - 0.3, row + 0.3], color=color, lw=2.5)
        if arm in (*SUPERVISED, 'upper_bound'):
            axes.axvline(mean, color='#3465a4', ls=':', lw=1)
    axes.set(xlabel=metric.rpartition('/')[2], ylim=(-0.6, len(arms) - 0.4))
    axes.set_yticks(range(len(arms)), [ARMS[arm] for arm in arms])


def _ahead(report: Report) -> list[str]:
    """Format the lead of full fusion over every other arm, seed by seed."""
    lines = []
    for arm, title in ARMS.items():
        gains = {
            metric: differences(report.of('fusion', metric), report.of(arm, metric))
            for metric in report.metrics
        }
        if arm != 'fusion' and all(gains.values()):
            leads = ', '.join(
                f'{metric.rpartition("/")[2]} {mean_and_deviation(values)}'
                for metric, values in gains.items()
            )
            lines.append(f'full fusion minus {title}: {leads}')
    return lines


def _told_schedule(report: Report) -> list[str]:
    if not report.tried:
        return []
    metric = report.metrics[0].rpartition('/')[2]
    scores = [f'{length:,}: {report.tried[length]:.4f}' for length in report.tried]
    lengths = (
        f'supervised, {metric} of the first seed by iterations: {", ".join(scores)}'
    )
    return [lengths, f'{report.hours:.1f} hours of a core so far']


def _share(share: float | None) -> str:
    return '' if share is None else f'{share:.0%}'
