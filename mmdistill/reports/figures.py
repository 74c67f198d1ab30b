"""Plots of the page with their titles and captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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

LABELS, LABELED_SET = 'pseudo-labels', 'labeled set'


@dataclass(frozen=True)
class PagePlot:
    """A plot of the page.

    Attributes:
        title: Title of the plot.
        svg: Inline SVG of the plot.
        caption: Conclusion for the reader.
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
            score_thrs = plots.score_thresholds(selection)
            draw_score_histogram(axes, data.scores, data.kept, score_thrs)
        axes.set_title('')

    caption = captions.scores_caption(data, selection)
    page_plots = [page_plot('scores', 'Scores of all candidates', caption, draw_scores)]
    if selection is not None and selection.curve_thresholds:

        def draw_curve(axes: Axes) -> None:
            draw_counting_curve(axes, selection)
            axes.set_title('')

        caption = captions.curve_caption(selection)
        page_plots.append(page_plot('counting', 'Count matching', caption, draw_curve))
    return page_plots


def count_plots(
    data: ReportData, labeled: LabeledStatistics | None, names: Sequence[str]
) -> list[PagePlot]:
    """Plot instances per image, keypoints per instance, and keypoints by type.

    Args:
        data: Statistics of the store.
        labeled: Statistics of the labeled set, if known.
        names: Names of the keypoints, (K,); boxes have none, and no plots of them.
    """
    if not names:
        return [_instances_plot(data, labeled)]
    shares = label_shares(data)
    shares_by_set = {LABELS: shares}
    if labeled is not None:
        shares_by_set[LABELED_SET] = labeled.visible.mean(axis=0)
    types = page_plot(
        'types',
        'Keypoints by type',
        captions.per_type_caption(names, shares, labeled),
        partial(plots.draw_keypoint_shares, names=names, shares=shares_by_set),
        height=0.9 + 0.19 * min(len(names), plots.MAX_NAMES),
    )
    return [
        _instances_plot(data, labeled),
        replace(types, tall=True),
        _keypoints_plot(data, labeled),
    ]


def label_shares(data: ReportData) -> np.ndarray:
    """Compute the share of labels on which each keypoint type is visible, (K,)."""
    return data.keypoints.visible / max(data.num_kept, 1)


def _instances_plot(data: ReportData, labeled: LabeledStatistics | None) -> PagePlot:
    counts = {'unlabeled images': data.labels_per_image}
    if labeled is not None:
        counts['labeled images'] = labeled.per_image

    def draw(axes: Axes) -> None:
        plots.draw_shares(axes, counts, (KEPT, LABELED), plots.MAX_INSTANCES)
        axes.set(xlabel='instances on an image', ylabel='images (%)')

    caption = captions.per_image_caption(data, labeled)
    return page_plot('per-image', 'Instances per image', caption, draw)


def _keypoints_plot(data: ReportData, labeled: LabeledStatistics | None) -> PagePlot:
    counts = {LABELS: data.visible[data.kept]}
    if labeled is not None:
        counts[LABELED_SET] = labeled.visible.sum(axis=1)

    def draw(axes: Axes) -> None:
        plots.draw_shares(axes, counts, (KEPT, LABELED), 10**6)
        axes.set(xlabel='visible keypoints of an instance', ylabel='instances (%)')

    caption = captions.per_label_caption(data, labeled)
    return page_plot('per-label', 'Keypoints per instance', caption, draw)


def agreement_plot(data: ReportData, selection: Selection | None) -> PagePlot:
    """Plot score against agreement of candidates with a visible keypoint, or boxes."""
    has_keypoint = data.visible > 0
    scores, agreement = data.scores[has_keypoint], data.agreement[has_keypoint]
    draw = partial(
        plots.draw_agreement,
        scores=scores,
        agreement=agreement,
        kept=data.kept[has_keypoint],
        score_thrs=plots.score_thresholds(selection),
    )
    caption = captions.agreement_caption(rank_correlation(scores, agreement))
    return page_plot('agreement', 'Score against agreement', caption, draw)


def audit_plots(audit: Audit) -> list[PagePlot]:
    """Plot precision and recall over the threshold, and the calibration."""
    page_plots = []
    curve = audit.curve
    if curve and len(curve.thresholds) and (curve.precision or curve.recall):
        page_plots.append(
            page_plot(
                'precision',
                'Precision and recall over the threshold',
                captions.PRECISION_RECALL,
                partial(
                    plots.draw_precision_recall,
                    curve=curve,
                    matched=audit.matched,
                    overlap=audit.overlap,
                ),
                height=3.2,
            )
        )
    correlations = (audit.rank_correlations or {}).get('keypoint', {})
    page_plots += [
        _calibration_plot(audit, scale, calibration, correlations)
        for scale, calibration in (audit.calibration or {}).items()
        if not np.isnan(calibration.error).all()
    ]
    return page_plots


def _calibration_plot(
    audit: Audit, scale: str, calibration: Binned, correlations: Mapping[str, float]
) -> PagePlot:
    draw = partial(
        plots.draw_calibration,
        calibration=calibration,
        scale=f'{scale} of the {audit.part}',
        unit=captions.error_unit(audit),
    )
    caption = captions.calibration_caption(scale, calibration, captions.parts(audit))
    caption += captions.correlation_caption(scale, correlations)
    title = f'{audit.part.capitalize()} error over {scale}'
    return page_plot(f'error-{scale}', title, caption, draw)


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
    """Plot mean and deviation of the values of each row, without unknown ones."""
    bars = {
        row: (fmean(v), stdev(v) if len(v) > 1 else 0.0)
        for row, v in values.items()
        if not isnan(sum(v))
    }
    draw = partial(plots.draw_bars, bars=bars, quantity=quantity)
    return page_plot(name, title, caption, draw, height=0.8 + 0.32 * len(bars))


def page_plot(
    name: str,
    title: str,
    caption: str,
    draw: Callable[[Axes], None],
    height: float = SIZE[1],
) -> PagePlot:
    """Draw a plot of the page, described by its title and caption.

    Args:
        name: Prefix of its identifiers, unique on the page.
        title: Title of the plot.
        caption: Conclusion for the reader.
        draw: Function that draws on given axes.
        height: Inches.
    """
    svg = plot(name, f'{title}. {caption}', draw, (SIZE[0], height))
    return PagePlot(title, svg, caption)
