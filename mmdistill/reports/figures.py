"""The plots of the report with their titles and captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from statistics import fmean, stdev

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from mmdistill.audits.metrics import FUSED
from mmdistill.audits.result import Audit
from mmdistill.functional.label_quality import Binned
from mmdistill.functional.ranking import rank_correlation
from mmdistill.reports import captions, plots
from mmdistill.reports.plots import (
    KEPT,
    LABELED,
    draw_counting_curve,
    draw_score_histogram,
)
from mmdistill.reports.results_table import Results
from mmdistill.reports.statistics import ReportData
from mmdistill.reports.svg import SIZE, plot
from mmdistill.selection import Selection
from mmdistill.selection.counts import LabeledStatistics

LABELS, LABELED_SIDE = 'pseudo-labels', 'labeled set'


@dataclass(frozen=True)
class PagePlot:
    """A plot of the page.

    Attributes:
        title: Title of the plot.
        svg: The plot.
        caption: The conclusion a reader should draw.
        tall: Whether it is as high as two others.
    """

    title: str
    svg: Markup
    caption: str
    tall: bool = False


def threshold_plots(data: ReportData, selection: Selection | None) -> list[PagePlot]:
    """Plot the histogram of scores, and the counting curve if there is a selection."""

    def draw_scores(axes: Axes) -> None:
        if selection is None:
            plots.draw_all_scores(axes, data.scores)
        else:
            draw_score_histogram(
                axes, data.scores, data.kept, _score_thresholds(selection)
            )
        axes.set_title('')

    caption = captions.scores_caption(data, selection)
    title = 'Scores of all candidates'
    svg = plot('scores', f'{title}. {caption}', draw_scores)
    page_plots = [PagePlot(title, svg, caption)]
    if selection is not None and selection.curve_thresholds:

        def draw_curve(axes: Axes) -> None:
            draw_counting_curve(axes, selection)
            axes.set_title('')

        title, caption = 'Count matching', captions.curve_caption(selection)
        svg = plot('counting', f'{title}. {caption}', draw_curve)
        page_plots.append(PagePlot(title, svg, caption))
    return page_plots


def count_plots(
    data: ReportData, labeled: LabeledStatistics | None, names: Sequence[str]
) -> list[PagePlot]:
    """Plot instances per image, keypoints per instance, and keypoints by type.

    Args:
        data: The numbers of the store.
        labeled: Statistics of the labeled set, if known.
        names: Names of the keypoints, (K,).
    """
    shares = label_shares(data)
    per_type = {LABELS: shares}
    if labeled is not None:
        per_type[LABELED_SIDE] = labeled.visible.mean(axis=0)
    height = 0.9 + 0.19 * min(len(names), plots.MAX_NAMES)
    caption = captions.per_type_caption(names, shares, labeled)
    title = 'Keypoints by type'
    draw = partial(plots.draw_keypoint_shares, names=names, shares=per_type)
    svg = plot('types', f'{title}. {caption}', draw, (SIZE[0], height))
    return [
        _per_image(data, labeled),
        PagePlot(title, svg, caption, tall=True),
        _per_label(data, labeled),
    ]


def label_shares(data: ReportData) -> np.ndarray:
    """Compute the share of labels on which each keypoint type is visible, (K,)."""
    return data.keypoints.visible / max(data.num_kept, 1)


def _per_image(data: ReportData, labeled: LabeledStatistics | None) -> PagePlot:
    counts = {'unlabeled images': data.labels_per_image}
    if labeled is not None:
        counts['labeled images'] = labeled.per_image

    def draw(axes: Axes) -> None:
        plots.draw_shares(axes, counts, (KEPT, LABELED), plots.MAX_INSTANCES)
        axes.set(xlabel='instances on an image', ylabel='images (%)')

    title, caption = 'Instances per image', captions.per_image_caption(data, labeled)
    return PagePlot(title, plot('per-image', f'{title}. {caption}', draw), caption)


def _per_label(data: ReportData, labeled: LabeledStatistics | None) -> PagePlot:
    counts = {LABELS: data.visible[data.kept]}
    if labeled is not None:
        counts[LABELED_SIDE] = labeled.visible.sum(axis=1)

    def draw(axes: Axes) -> None:
        plots.draw_shares(axes, counts, (KEPT, LABELED), 10**6)
        axes.set(xlabel='visible keypoints of an instance', ylabel='instances (%)')

    title, caption = 'Keypoints per instance', captions.per_label_caption(data, labeled)
    return PagePlot(title, plot('per-label', f'{title}. {caption}', draw), caption)


def agreement_plot(data: ReportData, selection: Selection | None) -> PagePlot:
    """Plot score against agreement of candidates with a visible keypoint."""
    has_keypoint = data.visible > 0
    scores, agreement = data.scores[has_keypoint], data.agreement[has_keypoint]
    correlation = rank_correlation(scores, agreement)
    caption = captions.agreement_caption(correlation)
    draw = partial(
        plots.draw_agreement,
        scores=scores,
        agreement=agreement,
        kept=data.kept[has_keypoint],
        score_thrs=_score_thresholds(selection),
    )
    title = 'Score against agreement'
    return PagePlot(title, plot('agreement', f'{title}. {caption}', draw), caption)


def _score_thresholds(selection: Selection | None) -> list[float]:
    """Return the thresholds if they are scores, else none."""
    if selection is None or selection.options.criterion != 'score':
        return []
    return selection.score_thrs


def audit_plots(audit: Audit) -> list[PagePlot]:
    """Plot precision and recall over the threshold, and the calibration."""
    page_plots = []
    curve = audit.curve
    if curve and len(curve.thresholds) and (curve.precision or curve.recall):
        draw = partial(plots.draw_precision_recall, curve=curve, matched=audit.matched)
        title, caption = (
            'Precision and recall over the threshold',
            captions.PRECISION_RECALL,
        )
        svg = plot('precision', f'{title}. {caption}', draw, (SIZE[0], 3.2))
        page_plots.append(PagePlot(title, svg, caption))
    page_plots += [
        _calibration_plot(scale, calibration)
        for scale, calibration in (audit.calibration or {}).items()
        if not np.isnan(calibration.error).all()
    ]
    return page_plots


def _calibration_plot(scale: str, calibration: Binned) -> PagePlot:
    caption = captions.calibration_caption(scale, calibration)
    draw = partial(
        plots.draw_calibration,
        calibration=calibration,
        scale=scale,
        unit=captions.ERROR_UNIT,
    )
    title = f'Keypoint error over {scale}'
    svg = plot(f'error-{scale}', f'{title}. {caption}', draw)
    return PagePlot(title, svg, caption)


def gains_plot(audit: Audit) -> PagePlot | None:
    """Plot the AP of a single view, of flipping, and of all views fused.

    Returns:
        The plot; None if no AP is known.
    """
    known = {name: ap for name, ap in (audit.gains or {}).items() if not isnan(ap)}
    if not known:
        return None
    # The last bar has the highlight color.
    gains = dict(sorted(known.items(), key=lambda item: item[0] == FUSED))
    caption = captions.gains_caption(gains)
    values = {name: [ap] for name, ap in gains.items()}
    return _bars('gains', 'What fusing views gained', caption, values)


def results_plot(results: Results) -> PagePlot | None:
    """Plot the first metric of each model that has it; None without any."""
    metric = results.metrics[0]
    values = {name: row[0] for name, row in results.rows.items()}
    if all(isnan(sum(row)) for row in values.values()):
        return None
    return _bars('results', metric, captions.results_caption(results), values, metric)


def _bars(
    name: str,
    title: str,
    caption: str,
    values: Mapping[str, Sequence[float]],
    quantity: str = 'AP',
) -> PagePlot:
    bars = {
        row: (fmean(v), stdev(v) if len(v) > 1 else 0.0)
        for row, v in values.items()
        if not isnan(sum(v))
    }
    size = (SIZE[0], 0.8 + 0.32 * len(bars))
    draw = partial(plots.draw_bars, bars=bars, quantity=quantity)
    return PagePlot(title, plot(name, f'{title}. {caption}', draw, size), caption)
