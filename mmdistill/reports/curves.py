"""Count matching as a curve and a histogram."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes

from mmdistill.labels import Selection
from mmdistill.labels.thresholds import described_range

KEPT = '#1b7f5c'
REJECTED = '#b8453a'
LABELED = '#3465a4'
LEGEND_ROOM = 1.25
"""Height of a plot with a legend of two lines, by that of what is drawn."""


def draw_counting_curve(axes: Axes, selection: Selection) -> None:
    """Instances per unlabelled image over the threshold, and where it was set.

    Args:
        axes: Where to draw.
        selection: The selection with its curve.
    """
    mean = selection.labeled.mean(selection.over)
    axes.plot(selection.curve_thresholds, selection.curve_means, color='black')
    axes.axhline(mean, color=LABELED, ls='--', label=f'labelled mean {mean:.2f}')
    label = f'threshold {described_range(selection.score_thrs, 3)}'
    for threshold in selection.score_thrs:
        axes.axvline(threshold, color=KEPT, ls='--', label=label)
        label = ''
    if len(selection.score_thrs) == 1:
        at = selection.score_thrs[0]
        axes.plot(at, selection.unlabeled.mean, 'o', color=KEPT, ms=8)
    axes.set(
        title='Count matching',
        xlabel=f'{selection.options.compared} threshold',
        ylabel='instances per unlabelled image',
    )
    # A falling curve leaves room there, the line of the mean may not; to look for the
    # best place may take seconds.
    highest = max([mean, *selection.curve_means])
    axes.set_ylim(0, (highest or 1) * LEGEND_ROOM)
    axes.legend(frameon=False, loc='upper right')


def draw_score_histogram(
    axes: Axes, scores: np.ndarray, kept: np.ndarray, score_thrs: Iterable[float]
) -> None:
    """How many candidates have which score, kept and rejected.

    Args:
        axes: Where to draw.
        scores: Instance scores of all candidates, (M,).
        kept: Which candidates are kept, (M,), bool.
        score_thrs: The thresholds, where they are scores.
    """
    axes.hist(
        [scores[kept], scores[~kept]],
        bins=np.histogram_bin_edges(scores, bins=40).tolist(),
        stacked=True,
        color=[KEPT, REJECTED],
        label=[f'{kept.sum()} kept', f'{(~kept).sum()} rejected'],
    )
    for threshold in score_thrs:
        axes.axvline(threshold, color=KEPT, ls='--')
    axes.set(title='All candidates', xlabel='instance score', ylabel='candidates')
    legend_above_bars(axes)


def legend_above_bars(axes: Axes) -> None:
    """Make room for a legend above the highest bar, wherever that is.

    Args:
        axes: Where bars are drawn.
    """
    axes.margins(y=0.16)
    axes.legend(frameon=False, loc='upper right', ncols=2)
