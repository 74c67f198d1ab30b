"""An audit in the words and tables of the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmdistill.functional.text_table import aligned
from mmdistill.reports.audit import NOTHING_MATCHED, audited_lines, part_name

ROWS_OF_CURVE = 10
WHAT = ('precision', 'recall')


def described_audit(content: Mapping[str, Any]) -> str:
    """The tables of an audit, its verdict last.

    Args:
        content: The content of `audit.json`.

    Returns:
        Lines, without a line break at the end.
    """
    blocks = [
        '\n'.join(audited_lines(content['audited'])),
        aligned(_threshold_cells(content)),
        aligned(_view_cells(content)),
        aligned(_keypoint_cells(content['per_keypoint'])),
        *(
            aligned(_calibration_cells(name, table))
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
    """Some rows of the curve, the matched thresholds in their places among them."""
    matched, curve = content['matched'], content['curve']
    levels = list(matched['precision'])
    heads = [f'{what} {oks}' for oks in levels for what in WHAT]
    step = max(len(curve['thresholds']) // ROWS_OF_CURVE, 1)
    rows = [
        (thr, '', [curve[what][oks][i] for oks in levels for what in WHAT])
        for i, thr in list(enumerate(curve['thresholds']))[::step]
    ]
    for part in matched['parts']:
        if part['score_thr'] is not None:
            mark = ', '.join(filter(None, ['matched', part_name(part)]))
            rows.append((part['score_thr'], f' <- {mark}', _figures(part, levels)))
    rows.sort(key=lambda row: row[0])
    shown = [(f'{thr:.3f}{mark}', values) for thr, mark, values in rows]
    if len(matched['parts']) > 1:
        shown.append(('all labels', _figures(matched, levels)))
    return [
        [f'{matched["by"]} threshold', *heads],
        *([name, *map(_cell, values)] for name, values in shown),
    ]


def _figures(part: Mapping[str, Any], levels: Sequence[str]) -> list[float | None]:
    return [part[what][oks] for oks in levels for what in WHAT]


def _view_cells(content: Mapping[str, Any]) -> list[list[str]]:
    errors = content['gains_error']
    return [
        ['views', 'AP', 'keypoint error'],
        *(
            [name, _cell(ap), _cell(errors[name])]
            for name, ap in content['gains'].items()
        ),
    ]


def _keypoint_cells(keypoints: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Errors of each keypoint, over all labels and at both ends of the calibration."""
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
            _cell((table['error'] or [None])[end])
            for table in tables
            for end in (0, -1)
        ]
        count, error = str(keypoint['count']), _cell(keypoint['error'])
        cells.append([keypoint['name'], count, error, _cell(keypoint['median']), *ends])
    return cells


def _calibration_cells(name: str, table: Mapping[str, Any]) -> list[list[str]]:
    edges = table['edges']
    return [
        [f'keypoint {name}', 'keypoints', 'error'],
        *(
            [f'{low:.3f} to {high:.3f}', str(count), _cell(error)]
            for low, high, count, error in zip(
                edges[:-1], edges[1:], table['count'], table['error'], strict=True
            )
        ),
    ]


def _cell(value: float | None) -> str:
    """A figure; none where it is not known."""
    known = value is not None and math.isfinite(value)
    return f'{value:.3f}' if known else '-'
