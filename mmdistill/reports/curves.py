"""Count matching as a curve and a histogram."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from mmdistill.labels import Selection

KEPT = '#1b7f5c'
REJECTED = '#b8453a'
LABELED = '#3465a4'


def draw_counting_curve(axes: Axes, selection: Selection) -> None:
    """Instances per unlabelled image over the threshold, and where it was set.

    Args:
        axes: Where to draw.
        selection: The selection with its curve.
    """
    mean = selection.labeled.mean(selection.over)
    axes.plot(selection.curve_thresholds, selection.curve_means, color='black')
    axes.axhline(mean, color=LABELED, ls='--', label=f'labelled mean {mean:.2f}')
    axes.axvline(
        selection.score_thr,
        color=KEPT,
        ls='--',
        label=f'threshold {selection.score_thr:.3f}',
    )
    axes.plot(selection.score_thr, selection.unlabeled.mean, 'o', color=KEPT, ms=8)
    axes.set(
        title='Count matching',
        xlabel='score threshold',
        ylabel='instances per unlabelled image',
        ylim=(0, None),
    )
    axes.legend(frameon=False)


def draw_score_histogram(
    axes: Axes, scores: np.ndarray, kept: np.ndarray, score_thr: float
) -> None:
    """How many candidates have which score, kept and rejected.

    Args:
        axes: Where to draw.
        scores: Instance scores of all candidates, (M,).
        kept: Which candidates are kept, (M,), bool.
        score_thr: The threshold.
    """
    axes.hist(
        [scores[kept], scores[~kept]],
        bins=np.histogram_bin_edges(scores, bins=40).tolist(),
        stacked=True,
        color=[KEPT, REJECTED],
        label=[f'{kept.sum()} kept', f'{(~kept).sum()} rejected'],
    )
    axes.axvline(score_thr, color=KEPT, ls='--')
    axes.set(title='All candidates', xlabel='instance score', ylabel='candidates')
    axes.legend(frameon=False)
