"""The audit of a store as the report reads it from `audit.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.errors import DataError
from mmdistill.utils.files import read_json

AUDIT_FILE = 'audit.json'
ERROR_UNIT = 'of the instance’s size'
"""Unit of errors: distances divided by the square root of the instance's area."""


@dataclass(frozen=True)
class Calibration:
    """Keypoint errors by score or agreement, in sizes of their instance.

    Attributes:
        edges: Bounds of the bins, (B + 1,).
        error: Mean error of each bin, (B,); NaN where it is empty.
        count: Number of keypoints in each bin, (B,).
    """

    edges: np.ndarray
    error: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class AuditPart:
    """Metrics at the threshold of one source and category.

    Attributes:
        name: The source and the category, where they have thresholds of their own.
        score_thr: The threshold; NaN where it keeps nothing.
        labels: Number of labels of the unlabeled set at the threshold.
        kept: Number of candidates of the audited images that it keeps.
        matched: OKS, precision and recall, a row each.
        error: Mean error of their visible keypoints.
    """

    name: str
    score_thr: float
    labels: int
    kept: int
    matched: list[tuple[str, float, float]]
    error: float


@dataclass(frozen=True)
class Audit:
    """Content of an audit; fields that are missing in the file are empty.

    Attributes:
        verdict: One sentence about the label noise to expect.
        by: Description of the values that the thresholds are compared with.
        score_thrs: The matched thresholds, ascending.
        matched: OKS, precision and recall of all labels, a row each.
        parts: The same by threshold, where there are several.
        thresholds: Thresholds of the curves, (T,).
        curves: Precision and recall over them by name, (T,) each.
        calibration: By 'score' and 'agreement'.
        per_keypoint: Name, mean error, median error and count of each type.
        about: Sentences about the audited images.
        gains: AP by the views of labeling.
        gains_error: Mean error by the views of labeling.
    """

    verdict: str
    by: str
    score_thrs: list[float]
    matched: list[tuple[str, float, float]]
    parts: list[AuditPart]
    thresholds: np.ndarray
    curves: dict[str, np.ndarray]
    calibration: dict[str, Calibration]
    per_keypoint: list[tuple[str, float, float, int]]
    about: list[str]
    gains: dict[str, float]
    gains_error: dict[str, float]

    @property
    def nothing_matched(self) -> bool:
        """Whether no label matched a labeled instance, so that no error is known."""
        return bool(self.per_keypoint) and not any(
            count for *_, count in self.per_keypoint
        )


def read_audit(root: Path) -> Audit | None:
    """Read the audit in a store's folder.

    Args:
        root: The folder.

    Returns:
        The audit, None if there is none.

    Raises:
        UserError: If the file is not an audit.
    """
    path = root / AUDIT_FILE
    if not path.is_file():
        return None
    remedy = 'Make it again with tools/audit_labels.py, or remove it'
    content = read_json(path, 'the audit', remedy)
    try:
        return _parsed(content)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f'the audit {path} is not one of ours: {error!r}; make it again with '
            'tools/audit_labels.py, or remove it'
        ) from error


def _parsed(content: Mapping[str, Any]) -> Audit:
    matched, curve = content.get('matched', {}), content.get('curve', {})
    parts = [_part(part) for part in matched.get('parts', ())]
    thresholds = _finite(curve.get('thresholds', ()))
    curves = {
        f'{kind} at OKS {oks}': _numbers(values, len(thresholds))
        for kind in ('precision', 'recall')
        for oks, values in curve.get(kind, {}).items()
    }
    return Audit(
        verdict=_text(content.get('verdict', '')),
        by=_text(matched['by']) if matched else '',
        score_thrs=_finite(matched['score_thrs'] if matched else ()).tolist(),
        matched=_by_oks(matched),
        parts=parts if len(parts) > 1 else [],
        thresholds=thresholds,
        curves=curves,
        calibration={
            str(name): _calibration(part)
            for name, part in content.get('calibration', {}).items()
        },
        per_keypoint=[
            (
                _text(row['name']),
                _number(row['error']),
                _number(row.get('median')),
                int(row['count']),
            )
            for row in content.get('per_keypoint', ())
        ],
        about=audited_lines(content['audited']) if 'audited' in content else [],
        gains=_by_name(content.get('gains', {})),
        gains_error=_by_name(content.get('gains_error', {})),
    )


def _by_oks(metrics: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    recall = metrics.get('recall', {})
    return [
        (str(oks), _number(value), _number(recall.get(oks)))
        for oks, value in metrics.get('precision', {}).items()
    ]


def _part(part: Mapping[str, Any]) -> AuditPart:
    return AuditPart(
        name=part_name(part),
        score_thr=_number(part['score_thr']),
        labels=int(part['labels']),
        kept=int(part['kept']),
        matched=_by_oks(part),
        error=_number(part['error']['mean']),
    )


def part_name(part: Mapping[str, Any]) -> str:
    """Format the source and category of a threshold; empty if it is for all.

    Args:
        part: Metrics at a threshold, as in `audit.json`.
    """
    source, category = part['source'], part['category_id']
    words = [] if source is None else [source or 'images without a source']
    words += [] if category is None else [f'category {category}']
    return ', '.join(words)


NOTHING_MATCHED = (
    'No label matched a labeled instance, so nothing is known of the error of '
    'keypoints.'
)


def audited_lines(audited: Mapping[str, Any]) -> list[str]:
    """Format sentences about the audited images and their boxes.

    Args:
        audited: The description of the audited images in `audit.json`.
    """
    lines = [
        f'audited: {audited["ann_file"]}, {audited["instances"]} instances on '
        f'{audited["images"]} images that could be read ({audited["failed"]} not)',
        f'boxes: {audited["boxes"]}; {audited["candidates"]} candidates',
    ]
    if audited.get('folds'):
        lines.append(
            f'{audited["folds"]} folds, each labeled by a teacher that was trained '
            f'on the others with {audited["teacher_config"]}'
        )
    if audited.get('images_trained_on'):
        lines.append(
            f'{audited["images_trained_on"]} of the images are among those the teacher '
            'was trained on: the labels look better than they are'
        )
    return lines


def _calibration(part: Mapping[str, Any]) -> Calibration:
    edges = _finite(part['edges'])
    # Without any known error there are neither bins nor edges.
    error = _numbers(part['error'], max(len(edges) - 1, 0))
    return Calibration(edges, error, _numbers(part['count'], len(error)))


def _by_name(values: Mapping[str, Any]) -> dict[str, float]:
    """Values by name, without unknown ones."""
    known = {str(name): _number(value) for name, value in values.items()}
    return {name: value for name, value in known.items() if not np.isnan(value)}


def _number(value: Any) -> float:
    """Parse a number; null and non-finite values become NaN."""
    if value is None:
        return np.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'a number is expected, got {value!r}')
    return float(value) if np.isfinite(float(value)) else np.nan


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'a text is expected, got {value!r}')
    return value


def _finite(values: Any) -> np.ndarray:
    """Parse numbers, (N,), all of which must be finite."""
    array = _numbers(values)
    if np.isnan(array).any():
        raise ValueError(f'finite numbers are expected, got {values!r}')
    return array


def _numbers(values: Any, length: int | None = None) -> np.ndarray:
    """Parse numbers, (N,); null becomes NaN."""
    array = np.array([_number(value) for value in values], dtype=np.float64)
    if length not in (None, len(array)):
        raise ValueError(f'{length} values expected, got {len(array)}')
    return array
