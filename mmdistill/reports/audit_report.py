"""Tables and picture of an audit: precision, recall, calibration, gains of views."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdistill.audits.result import (
    Audit,
    Curve,
    KeypointMetrics,
    MatchedMetrics,
    ThresholdMetrics,
)
from mmdistill.functional.label_quality import Binned
from mmdistill.reports.captions import (
    audited_lines,
    error_unit,
    nothing_matched,
    part_name,
    parts,
)
from mmdistill.reports.gallery import save_figure
from mmdistill.reports.plots import (
    LABELED,
    draw_bars,
    draw_calibration,
    draw_precision_recall,
)
from mmdistill.utils.logging import format_table

ROWS_OF_CURVE = 10
MEASURES = ('precision', 'recall')
SCALES = ('score', 'agreement')
WIDTH = 14
UPPER_HEIGHT = 4.5
"""Inches of the upper row; the lower one grows with the number of keypoints."""


def format_audit(audit: Audit) -> str:
    """Format the tables of an audit, with the sentence about label noise last.

    Args:
        audit: The audit.

    Returns:
        Lines, without a line break at the end.
    """
    blocks = ['\n'.join(audited_lines(audit.audited))] if audit.audited else []
    if audit.matched and audit.curve:
        blocks.append(format_table(_threshold_cells(audit.matched, audit.curve)))
    blocks += [
        format_table(_view_cells(audit)),
        format_table(_keypoint_cells(audit.part, audit.per_keypoint)),
    ]
    blocks += [
        format_table(_calibration_cells(audit, name, table))
        for name, table in (audit.calibration or {}).items()
    ]
    if audit.rank_correlations:
        cells = _correlation_cells(audit.rank_correlations, audit.of_boxes)
        blocks.append(format_table(cells))
    if audit.nothing_matched:
        blocks.append(nothing_matched(audit))
    return '\n\n'.join([*blocks, audit.verdict])


def _threshold_cells(matched: MatchedMetrics, curve: Curve) -> list[list[str]]:
    """Rows of the curve at some thresholds and at the matched ones, in order."""
    levels = list(matched.precision)
    heads = [f'{measure} {oks}' for oks in levels for measure in MEASURES]
    step = max(len(curve.thresholds) // ROWS_OF_CURVE, 1)
    rows = [
        (thr, '', [values[oks][i] for oks in levels for values in _measures(curve)])
        for i, thr in list(enumerate(curve.thresholds))[::step]
    ]
    for part in matched.parts:
        if not isnan(part.score_thr):
            mark = ', '.join(filter(None, ['matched', part_name(part)]))
            rows.append((part.score_thr, f' <- {mark}', _at_levels(part, levels)))
    rows.sort(key=lambda row: row[0])
    shown = [(f'{thr:.3f}{mark}', values) for thr, mark, values in rows]
    if len(matched.parts) > 1:
        shown.append(('all labels', _at_levels(matched, levels)))
    return [
        [f'{matched.by} threshold', *heads],
        *([name, *map(_format_number, values)] for name, values in shown),
    ]


def _measures(curve: Curve) -> tuple[Mapping[str, np.ndarray], ...]:
    return curve.precision, curve.recall


def _at_levels(
    metrics: MatchedMetrics | ThresholdMetrics, levels: Sequence[str]
) -> list[float]:
    """Precision and recall at each OKS threshold, in turn."""
    pairs = ((metrics.precision[oks], metrics.recall[oks]) for oks in levels)
    return [value for pair in pairs for value in pair]


def _view_cells(audit: Audit) -> list[list[str]]:
    gains, errors = audit.gains or {}, audit.gains_error or {}
    return [
        ['views', 'AP', f'{audit.part} error'],
        *(
            [name, _format_number(ap), _format_number(errors.get(name, nan))]
            for name, ap in gains.items()
        ),
    ]


def _keypoint_cells(part: str, keypoints: Iterable[KeypointMetrics]) -> list[list[str]]:
    """Errors of each keypoint, overall and in the outer bins of the calibration."""
    cells = [
        [
            part,
            *('labels', 'error', 'median'),
            *('lowest scores', 'highest scores', 'least agreed', 'most agreed'),
        ]
    ]
    for keypoint in keypoints:
        binned = [_errors_of(keypoint, scale) for scale in SCALES]
        ends = [
            errors[end] if len(errors) else nan for errors in binned for end in (0, -1)
        ]
        numbers = [keypoint.error, keypoint.median, *ends]
        cells.append(
            [keypoint.name, str(keypoint.count), *map(_format_number, numbers)]
        )
    return cells


def _errors_of(keypoint: KeypointMetrics, scale: str) -> np.ndarray:
    """Error of a keypoint in each bin of a scale, (B,); empty if it is not known."""
    table = keypoint.calibration.get(scale)
    return np.zeros(0) if table is None else table.error


def _calibration_cells(audit: Audit, name: str, table: Binned) -> list[list[str]]:
    return [
        [f'{audit.part} {name}', parts(audit), 'error'],
        *(
            [f'{low:.3f} to {high:.3f}', str(count), _format_number(error)]
            for low, high, count, error in zip(
                table.edges[:-1], table.edges[1:], table.count, table.error, strict=True
            )
        ),
    ]


def _correlation_cells(
    correlations: Mapping[str, Mapping[str, float]], of_boxes: bool
) -> list[list[str]]:
    words = dict(keypoint='kept box', instance='candidate') if of_boxes else {}
    names = list(dict.fromkeys(name for row in correlations.values() for name in row))
    rows = [
        [words.get(of, of), *(_format_number(row.get(name, nan)) for name in names)]
        for of, row in correlations.items()
    ]
    return [
        ['rank correlation with the error', *names],
        *([f'of each {of}', *numbers] for of, *numbers in rows),
    ]


def _format_number(value: float) -> str:
    """Format a number; a dash where it is unknown."""
    return '-' if isnan(value) else f'{value:.3f}'


def draw_audit(audit: Audit, path: Path) -> None:
    """Draw the picture of an audit.

    Args:
        audit: The audit.
        path: The picture to write; its suffix decides the format, e.g. `.png`.

    Raises:
        UserError: If the suffix is not a format, or the file cannot be written.
    """
    lower = max(4.0, 0.24 * len(audit.per_keypoint))
    figure = Figure((WIDTH, UPPER_HEIGHT + lower), layout='constrained')
    figure.suptitle(textwrap.fill(audit.verdict, 130), fontsize=12)
    panels = figure.subplots(2, 3, height_ratios=(UPPER_HEIGHT, lower))
    (curve, score, agreement), (keypoints, keypoint_bins, views) = panels
    if audit.curve:
        draw_precision_recall(curve, audit.curve, audit.matched, audit.overlap)
    curve.set_title('Labels over the threshold')
    for axes, scale in ((score, 'score'), (agreement, 'agreement')):
        if audit.calibration and scale in audit.calibration:
            name = f'{scale} of the {audit.part}'
            draw_calibration(axes, audit.calibration[scale], name, error_unit(audit))
        axes.set_title(f'Calibration: error by {scale}')
    _draw_keypoints(keypoints, audit)
    _draw_keypoint_calibration(keypoint_bins, audit.per_keypoint, audit.part)
    _draw_views(views, audit.gains or {}, audit.gains_error or {})
    save_figure(figure, path)


def _draw_keypoints(axes: Axes, audit: Audit) -> None:
    keypoints = audit.per_keypoint
    rows = np.arange(len(keypoints))
    means = [keypoint.error for keypoint in keypoints]
    medians = [keypoint.median for keypoint in keypoints]
    axes.barh(rows, means, color=LABELED, alpha=0.35, label='mean')
    axes.plot(medians, rows, 'o', color=LABELED, label='median')
    axes.set_yticks(rows, [keypoint.name for keypoint in keypoints], fontsize=8)
    axes.invert_yaxis()
    axes.locator_params(axis='x', nbins=6)
    what = 'Boxes' if audit.of_boxes else 'Visible keypoints'
    axes.set(title=f'{what} of kept labels', xlabel=f'error ({error_unit(audit)})')
    axes.legend(frameon=False, fontsize=9)


def _draw_keypoint_calibration(
    axes: Axes, keypoints: Sequence[KeypointMetrics], part: str
) -> None:
    """Draw the errors of each keypoint by score and by agreement, a cell per bin."""
    tables = [
        [_errors_of(keypoint, scale) for scale in SCALES] for keypoint in keypoints
    ]
    width = max([1, *(len(errors) for row in tables for errors in row)])
    cells = np.full((len(keypoints), 2 * width + 1), np.nan)
    for row, pair in enumerate(tables):
        for start, errors in zip((0, width + 1), pair, strict=True):
            cells[row, start : start + len(errors)] = errors
    axes.imshow(cells, cmap='Blues', aspect='auto', vmin=0)
    middle = np.nanmax(cells) / 2 if not np.isnan(cells).all() else 0
    for (row, column), error in np.ndenumerate(cells):
        if not np.isnan(error):
            color = 'white' if error > middle else 'black'
            text = f'{error:.2f}'.removeprefix('0')
            axes.text(
                column, row, text, color=color, fontsize=7, ha='center', va='center'
            )
    middles = [(width - 1) / 2, (width - 1) / 2 + width + 1]
    axes.set_xticks(middles, [f'low to high {scale}' for scale in SCALES])
    axes.set_yticks(range(len(keypoints)), [k.name for k in keypoints], fontsize=8)
    axes.set_title(f'Calibration: error of each {part}')


def _draw_views(
    axes: Axes, gains: Mapping[str, float], errors: Mapping[str, float]
) -> None:
    """Draw the AP of each kind of views, with its keypoint error beside it."""
    known = {name: (ap, 0.0) for name, ap in gains.items() if not isnan(ap)}
    remarks = {
        name: f', error {_format_number(errors.get(name, nan))}' for name in known
    }
    draw_bars(axes, known, 'AP of all candidates', remarks)
    axes.set_title('What the views gain')
