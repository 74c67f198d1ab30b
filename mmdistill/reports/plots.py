"""Drawing of the report's plots, each on given axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm, to_rgb

from mmdistill.audits.result import Curve, MatchedMetrics
from mmdistill.functional.label_quality import Binned
from mmdistill.selection import Selection
from mmdistill.selection.threshold_groups import format_range

MAX_INSTANCES = 10
"""Images with at least this many instances share a bar."""
MAX_NAMES = 40
"""Maximum number of keypoints that are named beside their bars."""
MAX_POINTS = 1000
"""Maximum number of candidates drawn as points; more are counted in cells."""

KEPT = '#1b7f5c'
REJECTED = '#b8453a'
LABELED = '#3465a4'
STYLES = ('-', '--', ':')
"""Line styles of curves by OKS threshold, ascending."""
LEGEND_ROOM = 1.25
"""Height of a plot with a two-line legend, relative to that of its data."""
CURVE_LEGEND_ROOM = 1.35
"""The same with the legend of precision and recall."""
BAR_ROOM, REMARK_ROOM = 1.18, 1.7
"""Width of a plot of bars with their numbers, or remarks, relative to the longest."""

CELLS = 48
# One color from transparent to opaque is readable on a light and on a dark page.
DENSITY = LinearSegmentedColormap.from_list(
    'density', [(*to_rgb('#2a9187'), 0.12), (*to_rgb('#2a9187'), 1.0)]
)


def score_thresholds(selection: Selection | None) -> list[float]:
    """Return the thresholds of a selection if they are scores, else none."""
    if selection is None or selection.options.criterion != 'score':
        return []
    return selection.score_thrs


def draw_all_scores(axes: Axes, scores: np.ndarray) -> None:
    """Draw the histogram of scores of all candidates, before a selection.

    Args:
        axes: Axes to draw on.
        scores: Instance scores, (M,).
    """
    axes.hist(scores, bins=40, color=LABELED)
    axes.set(xlabel='instance score', ylabel='candidates')


def draw_shares(
    axes: Axes, counts: Mapping[str, np.ndarray], colors: Sequence[str], most: int
) -> None:
    """Draw distributions of counts as grouped bars, in percent.

    Args:
        axes: Axes to draw on.
        counts: Counts by name of their group, (N,) each.
        colors: A color for each group.
        most: Counts from this value on share a bar.
    """
    highest = max((int(c.max(initial=0)) for c in counts.values()), default=0)
    last = min(highest, most)
    width = 0.8 / len(counts)
    for number, (name, values) in enumerate(counts.items()):
        shares = np.bincount(np.minimum(values, last), minlength=last + 1)
        x = np.arange(last + 1) + (number - (len(counts) - 1) / 2) * width
        percent = 100 * shares / max(len(values), 1)
        axes.bar(x, percent, width, color=colors[number], label=name)
    step = -(-(last + 1) // 18)
    ticks = np.arange(0, last + 1, step)
    names = [f'{t}+' if t == last < highest else str(t) for t in ticks]
    axes.set_xticks(ticks, names)
    if len(counts) > 1:
        legend_above_bars(axes)


def draw_keypoint_shares(
    axes: Axes, names: Sequence[str], shares: Mapping[str, np.ndarray]
) -> None:
    """Draw the share of instances on which each keypoint is visible, in percent.

    Args:
        axes: Axes to draw on.
        names: Names of the keypoints, (K,).
        shares: Shares by name of their group, in [0, 1], (K,) each; labels first.
    """
    colors = (KEPT, LABELED)
    y = np.arange(len(names))
    height = 0.8 / len(shares)
    for number, (name, values) in enumerate(shares.items()):
        offset_y = y + (number - (len(shares) - 1) / 2) * height
        axes.barh(offset_y, 100 * values, height, color=colors[number], label=name)
    axes.set(xlim=(0, 100), xlabel='instances on which it is visible (%)')
    axes.set_ylim(len(names) - 0.4, -0.6)
    if len(names) <= MAX_NAMES:
        axes.set_yticks(y, [name.replace('_', ' ') for name in names])
    else:
        axes.set_ylabel('number of the keypoint')
    if len(shares) > 1:
        axes.legend(frameon=False, loc='lower left', bbox_to_anchor=(0, 1), ncols=2)


def draw_agreement(
    axes: Axes,
    scores: np.ndarray,
    agreement: np.ndarray,
    kept: np.ndarray,
    score_thrs: Iterable[float],
) -> None:
    """Draw agreement over score, as points or as a density.

    Args:
        axes: Axes to draw on.
        scores: Instance scores, (M,).
        agreement: Mean agreement of the visible keypoints, (M,).
        kept: Which candidates are kept, (M,), bool.
        score_thrs: The thresholds, if they are scores.
    """
    if len(scores) > MAX_POINTS:
        _draw_density(axes, scores, agreement)
    else:
        for side, color in ((~kept, REJECTED), (kept, KEPT)):
            axes.scatter(scores[side], agreement[side], 9, color, lw=0)
    axes.set(xlabel='instance score', ylabel='mean agreement of the views')
    for threshold in score_thrs:
        axes.axvline(threshold, color='black', ls='--', lw=1)


def _draw_density(axes: Axes, scores: np.ndarray, agreement: np.ndarray) -> None:
    counts, x, y = np.histogram2d(scores, agreement, bins=CELLS)
    image = axes.imshow(
        np.ma.masked_equal(counts.T, 0),
        extent=(x[0], x[-1], y[0], y[-1]),
        origin='lower',
        aspect='auto',
        interpolation='nearest',
        cmap=DENSITY,
        norm=LogNorm(1, max(counts.max(), 10)),
    )
    bar = axes.figure.colorbar(
        image, ax=axes, label='candidates in a cell', format='{x:,.0f}'
    )
    bar.outline.set_visible(False)
    assert bar.solids is not None
    bar.solids.set_rasterized(True)


def draw_precision_recall(
    axes: Axes, curve: Curve, matched: MatchedMetrics | None, overlap: str = 'OKS'
) -> None:
    """Draw precision and recall over the threshold, and the matched thresholds.

    Args:
        axes: Axes to draw on.
        curve: The curves.
        matched: Metrics at the matched thresholds, a point each, if they are known.
        overlap: Name of the overlap from which on a label is right.
    """
    parts = matched.parts if matched else ()
    thresholds = [part.score_thr for part in parts]
    for measure, color, curves, points in (
        ('precision', KEPT, curve.precision, [part.precision for part in parts]),
        ('recall', LABELED, curve.recall, [part.recall for part in parts]),
    ):
        for (oks, values), style in zip(curves.items(), STYLES, strict=False):
            label = f'{measure} at {overlap} {oks}'
            axes.plot(curve.thresholds, values, style, color=color, label=label)
            if points:
                at_threshold = [point.get(oks, np.nan) for point in points]
                axes.plot(thresholds, at_threshold, 'o', color=color, ms=5)
    label, top = 'matched threshold', 1 / CURVE_LEGEND_ROOM
    for threshold in matched.score_thrs if matched else ():
        axes.axvline(threshold, 0, top, color='black', ls=':', lw=1, label=label)
        label = ''
    quantity = matched.by if matched else 'instance score'
    axes.set(xlabel=f'{quantity} threshold', ylabel='share of instances')
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_ylim(0, CURVE_LEGEND_ROOM)
    axes.legend(frameon=False, loc='upper center', ncols=2, fontsize='small')


def draw_calibration(axes: Axes, calibration: Binned, scale: str, unit: str) -> None:
    """Draw the mean error over the score or the agreement of keypoints or boxes.

    Args:
        axes: Axes to draw on.
        calibration: Mean errors in bins; NaN where a bin is empty.
        scale: The quantity on the horizontal axis, and of what it is.
        unit: Unit of the error.
    """
    edges, error = calibration.edges, calibration.error
    known = ~np.isnan(error)
    axes.bar(
        edges[:-1][known], error[known], np.diff(edges)[known], align='edge', color=KEPT
    )
    axes.set(xlabel=scale, ylabel=f'mean error ({unit})', ylim=(0, None))


def draw_bars(
    axes: Axes,
    bars: Mapping[str, tuple[float, float]],
    quantity: str,
    remarks: Mapping[str, str] | None = None,
) -> None:
    """Draw a bar with its deviation for each name.

    Args:
        axes: Axes to draw on.
        bars: Mean and standard deviation by name; the last one has the
            highlight color.
        quantity: Name of the horizontal axis.
        remarks: Text behind the mean, by name.
    """
    axes.set_xlabel(quantity)
    if not bars:
        return
    names = list(bars)
    means, deviations = np.array(list(bars.values())).T
    colors = [LABELED] * (len(names) - 1) + [KEPT]
    errors = deviations if deviations.any() else None
    y = np.arange(len(names))
    axes.barh(y, means, 0.6, xerr=errors, color=colors, ecolor='black')
    for row, mean, deviation in zip(y, means, deviations, strict=True):
        axes.annotate(
            f' {mean:.3f}{(remarks or {}).get(names[row], "")}',
            (mean + deviation, row),
            (2, 0),
            textcoords='offset points',
            va='center',
        )
    axes.set_yticks(y, names)
    room = BAR_ROOM if remarks is None else REMARK_ROOM
    axes.set_xlim(0, room * max((means + deviations).max(), 1e-6))
    axes.set_ylim(len(names) - 0.4, -0.6)


def draw_counting_curve(axes: Axes, selection: Selection) -> None:
    """Draw instances per unlabeled image over the threshold, and the matched one.

    Args:
        axes: Axes to draw on.
        selection: The selection with its curve.
    """
    mean = selection.labeled.mean(selection.labeled_images)
    axes.plot(selection.curve_thresholds, selection.curve_means, color='black')
    axes.axhline(mean, color=LABELED, ls='--', label=f'labeled mean {mean:.2f}')
    label = f'threshold {format_range(selection.score_thrs, 3)}'
    for threshold in selection.score_thrs:
        axes.axvline(threshold, color=KEPT, ls='--', label=label)
        label = ''
    if len(selection.score_thrs) == 1:
        axes.plot(
            selection.score_thrs[0], selection.unlabeled.mean, 'o', color=KEPT, ms=8
        )
    axes.set(
        title='Count matching',
        xlabel=f'{selection.options.compared} threshold',
        ylabel='instances per unlabeled image',
    )
    # A falling curve leaves room there, the line of the mean may not; searching the
    # best position may take seconds.
    highest = max([mean, *selection.curve_means])
    axes.set_ylim(0, (highest or 1) * LEGEND_ROOM)
    axes.legend(frameon=False, loc='upper right')


def draw_score_histogram(
    axes: Axes, scores: np.ndarray, kept: np.ndarray, score_thrs: Iterable[float]
) -> None:
    """Draw the histogram of scores, kept and rejected.

    Args:
        axes: Axes to draw on.
        scores: Instance scores of all candidates, (M,).
        kept: Which candidates are kept, (M,), bool.
        score_thrs: The thresholds, if they are scores.
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
    """Add a legend with room above the highest bar.

    Args:
        axes: Axes with bars.
    """
    axes.margins(y=0.16)
    axes.legend(frameon=False, loc='upper right', ncols=2)
