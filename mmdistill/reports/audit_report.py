"""Tables and picture of an audit: precision, recall, calibration, gains of views."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmdistill.audits.result import NOTHING_MATCHED, audited_lines, part_name
from mmdistill.reports.gallery import save_figure
from mmdistill.reports.plots import KEPT, LABELED, REJECTED
from mmdistill.utils.logging import format_table

ROWS_OF_CURVE = 10
MEASURES = ('precision', 'recall')
WIDTH = 14
UPPER_HEIGHT = 4.5
"""Inches of the upper row; the lower one grows with the number of keypoints."""
STYLES = ('-', '--', ':')
ERROR_LABEL = "keypoint error, in the instance's size"


def format_audit(content: Mapping[str, Any]) -> str:
    """Format the tables of an audit, with the verdict last.

    Args:
        content: The content of `audit.json`.

    Returns:
        Lines, without a line break at the end.
    """
    blocks = [
        '\n'.join(audited_lines(content['audited'])),
        format_table(_threshold_cells(content)),
        format_table(_view_cells(content)),
        format_table(_keypoint_cells(content['per_keypoint'])),
        *(
            format_table(_calibration_cells(name, table))
            for name, table in content['calibration'].items()
        ),
        *([] if _any_matched(content) else [NOTHING_MATCHED]),
        content['verdict'],
    ]
    return '\n\n'.join(blocks)


def _any_matched(content: Mapping[str, Any]) -> bool:
    """Whether the error of any keypoint is known."""
    return any(keypoint['count'] for keypoint in content['per_keypoint'])


def _threshold_cells(content: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the curve at some thresholds and at the matched ones, in order."""
    matched, curve = content['matched'], content['curve']
    levels = list(matched['precision'])
    heads = [f'{measure} {oks}' for oks in levels for measure in MEASURES]
    step = max(len(curve['thresholds']) // ROWS_OF_CURVE, 1)
    rows = [
        (thr, '', [curve[measure][oks][i] for oks in levels for measure in MEASURES])
        for i, thr in list(enumerate(curve['thresholds']))[::step]
    ]
    for group in matched['parts']:
        if group['score_thr'] is not None:
            mark = ', '.join(filter(None, ['matched', part_name(group)]))
            rows.append((group['score_thr'], f' <- {mark}', _measures(group, levels)))
    rows.sort(key=lambda row: row[0])
    shown = [(f'{thr:.3f}{mark}', values) for thr, mark, values in rows]
    if len(matched['parts']) > 1:
        shown.append(('all labels', _measures(matched, levels)))
    return [
        [f'{matched["by"]} threshold', *heads],
        *([name, *map(_format_number, values)] for name, values in shown),
    ]


def _measures(group: Mapping[str, Any], levels: Sequence[str]) -> list[float | None]:
    return [group[measure][oks] for oks in levels for measure in MEASURES]


def _view_cells(content: Mapping[str, Any]) -> list[list[str]]:
    errors = content['gains_error']
    return [
        ['views', 'AP', 'keypoint error'],
        *(
            [name, _format_number(ap), _format_number(errors[name])]
            for name, ap in content['gains'].items()
        ),
    ]


def _keypoint_cells(keypoints: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Errors of each keypoint, overall and in the outer bins of the calibration."""
    cells = [
        [
            'keypoint',
            *('labels', 'error', 'median'),
            *('lowest scores', 'highest scores', 'least agreed', 'most agreed'),
        ]
    ]
    for keypoint in keypoints:
        tables = keypoint['calibration'].values()
        ends = [
            _format_number((table['error'] or [None])[end])
            for table in tables
            for end in (0, -1)
        ]
        count, error = str(keypoint['count']), _format_number(keypoint['error'])
        cells.append(
            [keypoint['name'], count, error, _format_number(keypoint['median']), *ends]
        )
    return cells


def _calibration_cells(name: str, table: Mapping[str, Any]) -> list[list[str]]:
    edges = table['edges']
    return [
        [f'keypoint {name}', 'keypoints', 'error'],
        *(
            [f'{low:.3f} to {high:.3f}', str(count), _format_number(error)]
            for low, high, count, error in zip(
                edges[:-1], edges[1:], table['count'], table['error'], strict=True
            )
        ),
    ]


def _format_number(value: float | None) -> str:
    """Format a number; a dash where it is unknown."""
    known = value is not None and math.isfinite(value)
    return f'{value:.3f}' if known else '-'


def draw_audit(content: Mapping[str, Any], path: Path) -> None:
    """Draw the picture of an audit.

    Args:
        content: The content of `audit.json`.
        path: The picture to write; its suffix decides the format, e.g. `.png`.

    Raises:
        UserError: If the suffix is not a format, or the file cannot be written.
    """
    lower = max(4.0, 0.24 * len(content['per_keypoint']))
    figure = Figure((WIDTH, UPPER_HEIGHT + lower), layout='constrained')
    figure.suptitle(textwrap.fill(content['verdict'], 130), fontsize=12)
    panels = figure.subplots(2, 3, height_ratios=(UPPER_HEIGHT, lower))
    (curve, score, agreement), (keypoints, keypoint_bins, views) = panels
    _draw_curve(curve, content)
    _draw_calibration(score, 'score', content['calibration'])
    _draw_calibration(agreement, 'agreement', content['calibration'])
    _draw_keypoints(keypoints, content['per_keypoint'])
    _draw_keypoint_calibration(keypoint_bins, content['per_keypoint'])
    _draw_views(views, content)
    save_figure(figure, path)


def _draw_curve(axes: Axes, content: Mapping[str, Any]) -> None:
    curve, matched = content['curve'], content['matched']
    for measure, color in (('precision', KEPT), ('recall', LABELED)):
        for (oks, values), style in zip(curve[measure].items(), STYLES, strict=False):
            label = f'{measure}, OKS {oks}'
            axes.plot(
                curve['thresholds'], _to_array(values), style, color=color, label=label
            )
            groups = [g for g in matched['parts'] if g['score_thr'] is not None]
            thresholds = [group['score_thr'] for group in groups]
            matched_values = _to_array([group[measure][oks] for group in groups])
            axes.plot(thresholds, matched_values, 'o', color=color, ms=6)
    axes.vlines(
        matched['score_thrs'], 0, 1.05, color='black', lw=0.8, ls='--', label='matched'
    )
    label = f'{matched["by"]} threshold'
    axes.set(title='Labels over the threshold', xlabel=label, ylim=(0, 1.3))
    axes.legend(frameon=False, fontsize=9, loc='upper center', ncols=2)


def _draw_calibration(axes: Axes, name: str, tables: Mapping[str, Any]) -> None:
    """Draw the error over a score, a step per bin."""
    table = tables[name]
    edges, errors = np.array(table['edges']), _to_array(table['error'])
    if not np.isnan(errors).all():
        axes.stairs(errors, edges, fill=True, color=LABELED, alpha=0.25)
        axes.stairs(errors, edges, color=LABELED, lw=1.5)
    axes.set(
        title=f'Calibration: error by {name}',
        xlabel=f'keypoint {name}, in bins of as many keypoints',
        ylabel=ERROR_LABEL,
        ylim=(0, None),
    )


def _draw_keypoints(axes: Axes, keypoints: Sequence[Mapping[str, Any]]) -> None:
    rows = np.arange(len(keypoints))
    means = _to_array([keypoint['error'] for keypoint in keypoints])
    medians = _to_array([keypoint['median'] for keypoint in keypoints])
    axes.barh(rows, means, color=LABELED, alpha=0.35, label='mean')
    axes.plot(medians, rows, 'o', color=LABELED, label='median')
    axes.set_yticks(rows, [keypoint['name'] for keypoint in keypoints], fontsize=8)
    axes.invert_yaxis()
    axes.locator_params(axis='x', nbins=6)
    axes.set(title='Visible keypoints of kept labels', xlabel=ERROR_LABEL)
    axes.legend(frameon=False, fontsize=9)


def _draw_keypoint_calibration(
    axes: Axes, keypoints: Sequence[Mapping[str, Any]]
) -> None:
    """Draw the errors of each keypoint by score and by agreement, a cell per bin."""
    scales = ('score', 'agreement')
    tables = [
        [keypoint['calibration'][scale]['error'] for scale in scales]
        for keypoint in keypoints
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
    axes.set_xticks(middles, [f'low to high {scale}' for scale in scales])
    axes.set_yticks(range(len(keypoints)), [k['name'] for k in keypoints], fontsize=8)
    axes.set_title('Calibration: error of each keypoint')


def _draw_views(axes: Axes, content: Mapping[str, Any]) -> None:
    names = list(content['gains'])
    values = _to_array([content['gains'][name] for name in names])
    bars = axes.bar(names, np.nan_to_num(values), color=[REJECTED, LABELED, KEPT])
    labels = [
        f'AP {_format_number(ap)}\nerror {_format_number(error)}'
        for ap, error in zip(
            values, _to_array(content['gains_error'].values()), strict=True
        )
    ]
    axes.bar_label(bars, labels, fontsize=9, padding=2)
    axes.margins(y=0.18)
    axes.set(title='What the views gain', ylabel='AP of all candidates')


def _to_array(values: Any) -> np.ndarray:
    numbers = [np.nan if value is None else value for value in values]
    return np.array(numbers, dtype=np.float64)
