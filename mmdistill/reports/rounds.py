"""Rounds in the report: a row for each in a table, and their course as plots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.errors import StoreError
from mmdistill.reports.figures import PagePlot, page_plot
from mmdistill.reports.plots import KEPT, LABELED, REJECTED
from mmdistill.reports.results_table import mean_and_deviation
from mmdistill.selection.threshold_groups import format_range
from mmdistill.stages.round_results import RoundResult, false_confidence
from mmdistill.stages.rounds import LEDGER_FILE
from mmdistill.utils.files import read_json

CAPTION = (
    'Moved: share of the kept keypoints that lie elsewhere than in the round before, '
    'by more than a tenth of the box. Labels that settle leave nothing new to learn; '
    'agreement tells less, since training on its own labels raises it, right or wrong.'
)


def read_rounds(store: Path, config: Config | None = None) -> list[RoundResult]:
    """Read the rounds that a store is part of.

    Args:
        store: Folder of the store.
        config: The config of the store; where it has rounds, they are those of its
            work folder.

    Returns:
        The rounds that are done; empty where the store is of none.

    Raises:
        StoreError: If the ledger of the rounds is not one of this package.
    """
    # The store of a round lies in the folder of the round.
    folders = [store.absolute().parent.parent]
    if config is not None and Recipe.of(config).distill.rounds is not None:
        folders.insert(0, Path(config.get('work_dir') or '.'))
    path = next((f / LEDGER_FILE for f in folders if (f / LEDGER_FILE).is_file()), None)
    if path is None:
        return []
    remedy = 'Remove it and run tools/train.py again: what is not recorded is made anew'
    content = read_json(path, 'the ledger of the rounds', remedy, StoreError)
    try:
        return [RoundResult.from_json(each) for each in content.get('rounds', [])]
    except (AttributeError, KeyError, TypeError) as error:
        raise StoreError(
            f'the ledger of the rounds {path} is not one of mmdistill: {error!r}. '
            f'{remedy}'
        ) from error


def round_rows(rounds: Sequence[RoundResult]) -> list[dict[str, Any]]:
    """Format the rows of the table of rounds.

    Args:
        rounds: The rounds; the metrics are those of the first one that has any.
    """
    names = metric_names(rounds)
    return [
        dict(
            number=each.round,
            threshold=format_range(each.labels.thresholds, 3),
            kept=each.labels.kept,
            candidates=each.labels.candidates,
            score=each.labels.score,
            agreement=each.labels.agreement,
            moved='–' if each.labels.moved is None else f'{each.labels.moved:.1%}',
            results=[_formatted(each, name) for name in names],
        )
        for each in rounds
    ]


def metric_names(rounds: Sequence[RoundResult]) -> list[str]:
    """List the metrics of the rounds, those on held-out images last and marked.

    Args:
        rounds: The rounds.
    """
    names = [name for each in rounds for name in each.results]
    held = [f'{name} on holdout' for each in rounds for name in each.holdout]
    return list(dict.fromkeys([*names, *held]))


def round_warnings(rounds: Sequence[RoundResult]) -> list[str]:
    """List warnings of rounds whose views agree more on labels that do not settle.

    Args:
        rounds: The rounds.
    """
    pairs = zip(rounds, [None, *rounds], strict=False)
    sentences = ((now.round, false_confidence(now, before)) for now, before in pairs)
    return [
        f'Round {number}: {sentence}.' for number, sentence in sentences if sentence
    ]


def round_plots(rounds: Sequence[RoundResult]) -> list[PagePlot]:
    """Plot score, agreement and churn by round, and the first metric.

    Args:
        rounds: The rounds.

    Returns:
        The plots; none for a single round.
    """
    if len(rounds) < 2:
        return []
    labels = partial(draw_labels_by_round, rounds=rounds)
    plots = [page_plot('rounds', 'Labels by round', CAPTION, labels)]
    names = metric_names(rounds)
    known = [each for each in rounds if names and _values(each, names[0])]
    if known:
        draw = partial(draw_metric_by_round, rounds=known, name=names[0])
        means = [fmean(_values(each, names[0])) for each in known]
        best = known[means.index(max(means))]
        caption = (
            f'{names[0]} of the students of each round; it is highest in round '
            f'{best.round}, {max(means):.3f}.'
        )
        plots.append(page_plot('round-results', 'Results by round', caption, draw))
    return plots


def draw_labels_by_round(axes: Axes, rounds: Sequence[RoundResult]) -> None:
    """Draw mean score and agreement of the labels, and the share that moved.

    Args:
        axes: Axes to draw on.
        rounds: The rounds.
    """
    numbers = [each.round for each in rounds]
    score = [each.labels.score for each in rounds]
    agreement = [each.labels.agreement for each in rounds]
    axes.plot(numbers, score, 'o-', color=LABELED, label='score')
    axes.plot(numbers, agreement, 's--', color=KEPT, label='agreement')
    moved = [(e.round, e.labels.moved) for e in rounds if e.labels.moved is not None]
    axes.plot(*zip(*moved, strict=True), 'v:', color=REJECTED, label='moved')
    axes.set(xlabel='round', ylim=(0, 1.05))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc='lower left', bbox_to_anchor=(0, 1), ncols=3)


def draw_metric_by_round(axes: Axes, rounds: Sequence[RoundResult], name: str) -> None:
    """Draw a metric of each student, and the mean of each round.

    Args:
        axes: Axes to draw on.
        rounds: Rounds that have it.
        name: Name of the metric.
    """
    for each in rounds:
        values = _values(each, name)
        axes.plot([each.round] * len(values), values, 'o', color=KEPT, markersize=3)
    means = [fmean(_values(each, name)) for each in rounds]
    axes.plot([each.round for each in rounds], means, '-', color=KEPT)
    axes.set(xlabel='round', ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _values(result: RoundResult, name: str) -> Sequence[float]:
    metric, held, _ = name.partition(' on holdout')
    return (result.holdout if held else result.results).get(metric, [])


def _formatted(result: RoundResult, name: str) -> str:
    values = _values(result, name)
    return mean_and_deviation(values) if values else '–'
