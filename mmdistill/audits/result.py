"""The result of an audit, and its file `audit.json` in the folder of a store.

`Audit` is its only form: it is computed as one, written by `to_json` and read by
`from_json`. Errors are distances in units of the instance's size, the square root of
its area. Unknown numbers are NaN, and null in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.errors import DataError
from mmdistill.functional.label_quality import Binned
from mmdistill.utils.files import read_json

AUDIT_FILE = 'audit.json'
"""Name of the file in a store's folder."""


@dataclass(frozen=True)
class ErrorSummary:
    """Summary of the errors of visible keypoints.

    Attributes:
        mean: Mean error.
        median: Median error.
    """

    mean: float
    median: float


@dataclass(frozen=True)
class ThresholdMetrics:
    """Metrics at the threshold of one source and category.

    Attributes:
        source: The source; None if the threshold is for all.
        category_id: The category; None if the threshold is for all.
        score_thr: The threshold; NaN if it keeps nothing.
        labels: Number of labels of the unlabeled set at the threshold.
        kept: Number of candidates of the audited images that it keeps.
        error: Errors of their visible keypoints.
        precision: Precision by OKS threshold.
        recall: Recall by OKS threshold.
    """

    source: str | None
    category_id: int | None
    score_thr: float
    labels: int
    kept: int
    error: ErrorSummary
    precision: Mapping[str, float]
    recall: Mapping[str, float]

    @property
    def by_oks(self) -> Iterator[tuple[str, float, float]]:
        """OKS threshold, precision and recall, in the order of the file."""
        return _rows_by_oks(self.precision, self.recall)


@dataclass(frozen=True)
class MatchedMetrics:
    """Metrics of all labels that the selection keeps.

    Attributes:
        by: Description of the values that the thresholds are compared with.
        rule: 'count' if the thresholds were matched, 'score' if set by hand.
        score_thrs: The thresholds, ascending.
        keypoint_thrs: Threshold of each keypoint, NaN where none is visible, (K,).
        kept: Number of candidates of the audited images that are kept; None if the
            file does not state it.
        error: Errors of their visible keypoints.
        precision: Precision by OKS threshold.
        recall: Recall by OKS threshold.
        parts: The same by threshold.
    """

    by: str
    rule: str
    score_thrs: tuple[float, ...]
    keypoint_thrs: tuple[float, ...]
    kept: int | None
    error: ErrorSummary
    precision: Mapping[str, float]
    recall: Mapping[str, float]
    parts: tuple[ThresholdMetrics, ...]

    @property
    def by_oks(self) -> Iterator[tuple[str, float, float]]:
        """OKS threshold, precision and recall, in the order of the file."""
        return _rows_by_oks(self.precision, self.recall)


@dataclass(frozen=True)
class Curve:
    """Precision and recall over the threshold.

    Attributes:
        thresholds: Thresholds, ascending, (T,).
        precision: Precision by OKS threshold, (T,) each.
        recall: Recall by OKS threshold, (T,) each.
    """

    thresholds: np.ndarray
    precision: Mapping[str, np.ndarray]
    recall: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class KeypointMetrics:
    """Errors of one keypoint type.

    Attributes:
        name: Name of the keypoint.
        error: Mean error where it is visible.
        median: Median error where it is visible.
        count: Number of labels on which it is visible and its error is known.
        calibration: Errors by 'score' and 'agreement', visible or not.
    """

    name: str
    error: float
    median: float
    count: int
    calibration: Mapping[str, Binned]


@dataclass(frozen=True, kw_only=True)
class AuditedImages:
    """Provenance of an audit: the labeled images that were audited.

    Attributes:
        ann_file: COCO json of the true annotations.
        sha256: Hash of that json; None if `audit.json` does not state it.
        boxes: Description of the boxes in which the images were labeled.
        images_trained_on: Number of images that the teacher was trained on; None for
            folds.
        folds: Number of folds; None if the set was audited as a whole.
        teacher_config: Training config of the teachers of the folds, if there are any.
        images: Number of images that could be read.
        failed: Number of images that could not be read.
        instances: Number of true instances on the images that could be read.
        candidates: Number of candidates on them.
    """

    ann_file: str
    sha256: str | None
    boxes: str
    images_trained_on: int | None = None
    folds: int | None = None
    teacher_config: str | None = None
    images: int
    failed: int
    instances: int
    candidates: int


@dataclass(frozen=True)
class Audit:
    """Result of an audit; what is missing in its file is None or empty.

    Attributes:
        matched: Metrics of the labels that the selection keeps.
        curve: Precision and recall over the threshold.
        calibration: Errors of all keypoints by 'score' and 'agreement'.
        rank_correlations: Rank correlations with the error of 'score', 'agreement' and
            their 'product', of each 'keypoint' and of each 'instance'.
        per_keypoint: Errors of each keypoint type, K of them.
        gains: AP of all candidates by the views of labeling.
        gains_error: Mean error by the views of labeling.
        verdict: One sentence about the label noise to expect.
        of_boxes: Whether labels are boxes: their overlaps are IoUs and no OKS, and
            their errors what they lack of the true box, 1 - IoU.
        audited: The audited images.
        made_by: Hash and settings of the store whose labels were audited.
    """

    matched: MatchedMetrics | None = None
    curve: Curve | None = None
    calibration: Mapping[str, Binned] | None = None
    rank_correlations: Mapping[str, Mapping[str, float]] | None = None
    per_keypoint: tuple[KeypointMetrics, ...] = ()
    gains: Mapping[str, float] | None = None
    gains_error: Mapping[str, float] | None = None
    verdict: str = ''
    of_boxes: bool = False
    audited: AuditedImages | None = None
    made_by: Mapping[str, Any] | None = None

    @property
    def overlap(self) -> str:
        """Name of the overlap from which on a label is right."""
        return 'IoU' if self.of_boxes else 'OKS'

    @property
    def part(self) -> str:
        """Name of what errors are of."""
        return 'box' if self.of_boxes else 'keypoint'

    @property
    def nothing_matched(self) -> bool:
        """Whether no label matched a labeled instance, so that no error is known."""
        return bool(self.per_keypoint) and not any(
            keypoint.count for keypoint in self.per_keypoint
        )

    def to_json(self) -> dict[str, Any]:
        """Convert the audit to JSON values, the content of `audit.json`."""
        content = _json_value(self)
        content['per_keypoint'] = content['per_keypoint'] or None
        content['verdict'] = content['verdict'] or None
        content['of_boxes'] = content['of_boxes'] or None
        if self.audited is not None:
            content['audited'] = _without_none(content['audited'])
        return _without_none(content)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Audit:
        """Convert JSON values, also of older files, to an audit.

        Args:
            content: The values as `json` reads them.

        Raises:
            AttributeError, KeyError, OverflowError, TypeError, ValueError: If they are
                not those of an audit.
        """
        return cls(
            matched=_matched(content['matched']) if content.get('matched') else None,
            curve=_curve(content['curve']) if content.get('curve') else None,
            calibration=_calibrations(content.get('calibration')),
            rank_correlations=_correlations(content.get('rank_correlations')),
            per_keypoint=tuple(map(_keypoint, content.get('per_keypoint', ()))),
            gains=_numbers_by_name(content.get('gains')),
            gains_error=_numbers_by_name(content.get('gains_error')),
            verdict=_text(content.get('verdict', '')),
            of_boxes=bool(content.get('of_boxes', False)),
            audited=_audited(content['audited']) if 'audited' in content else None,
            made_by=content.get('made_by'),
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
        return Audit.from_json(content)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f'the audit {path} is not one of ours: {error!r}; make it again with '
            'tools/audit_labels.py, or remove it'
        ) from error


def _json_value(value: Any) -> Any:
    """Convert dataclasses and arrays to JSON values, NaN to null."""
    if is_dataclass(value):
        return {f.name: _json_value(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {name: _json_value(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _without_none(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value is not None}


def _rows_by_oks(
    precision: Mapping[str, float], recall: Mapping[str, float]
) -> Iterator[tuple[str, float, float]]:
    for oks, value in precision.items():
        yield oks, value, recall[oks]


def _matched(content: Mapping[str, Any]) -> MatchedMetrics:
    precision, recall = _precision_recall(content)
    return MatchedMetrics(
        by=_text(content['by']),
        rule=_text(content.get('rule', '')),
        score_thrs=tuple(_finite(content['score_thrs']).tolist()),
        keypoint_thrs=tuple(_numbers(content.get('keypoint_thrs', ())).tolist()),
        kept=_count(content['kept']) if 'kept' in content else None,
        error=_error(content.get('error', {})),
        precision=precision,
        recall=recall,
        parts=tuple(map(_part, content.get('parts', ()))),
    )


def _part(content: Mapping[str, Any]) -> ThresholdMetrics:
    source, category_id = content['source'], content['category_id']
    precision, recall = _precision_recall(content)
    return ThresholdMetrics(
        source=None if source is None else _text(source),
        category_id=None if category_id is None else _count(category_id),
        score_thr=_number(content['score_thr']),
        labels=_count(content['labels']),
        kept=_count(content['kept']),
        error=_error(content['error']),
        precision=precision,
        recall=recall,
    )


def _precision_recall(
    content: Mapping[str, Any],
) -> tuple[dict[str, float], dict[str, float]]:
    precision = _numbers_by_name(content.get('precision')) or {}
    recall = _numbers_by_name(content.get('recall')) or {}
    return precision, {oks: recall.get(oks, math.nan) for oks in precision}


def _error(content: Mapping[str, Any]) -> ErrorSummary:
    return ErrorSummary(_number(content.get('mean')), _number(content.get('median')))


def _curve(content: Mapping[str, Any]) -> Curve:
    thresholds = _finite(content.get('thresholds', ()))
    precision, recall = (
        {
            str(oks): _numbers(values, len(thresholds))
            for oks, values in content.get(measure, {}).items()
        }
        for measure in ('precision', 'recall')
    )
    return Curve(thresholds, precision, recall)


def _calibrations(content: Mapping[str, Any] | None) -> dict[str, Binned] | None:
    if content is None:
        return None
    return {str(name): _binned(table) for name, table in content.items()}


def _correlations(
    content: Mapping[str, Any] | None,
) -> dict[str, dict[str, float]] | None:
    if content is None:
        return None
    return {str(of): _numbers_by_name(row) or {} for of, row in content.items()}


def _binned(content: Mapping[str, Any]) -> Binned:
    edges = _finite(content['edges'])
    # Without any known error there are neither bins nor edges.
    error = _numbers(content['error'], max(len(edges) - 1, 0))
    counts = [_count(value) for value in content['count']]
    if len(counts) != len(error):
        raise ValueError(f'{len(error)} counts expected, got {len(counts)}')
    return Binned(edges, error, np.array(counts, dtype=np.int64))


def _keypoint(content: Mapping[str, Any]) -> KeypointMetrics:
    return KeypointMetrics(
        name=_text(content['name']),
        error=_number(content['error']),
        median=_number(content.get('median')),
        count=_count(content['count']),
        calibration=_calibrations(content.get('calibration')) or {},
    )


def _audited(content: Mapping[str, Any]) -> AuditedImages:
    folds = content.get('folds')
    shared, sha256 = content.get('images_trained_on'), content.get('sha256')
    return AuditedImages(
        ann_file=_text(content['ann_file']),
        sha256=None if sha256 is None else _text(sha256),
        boxes=_text(content['boxes']),
        images_trained_on=None if shared is None else _count(shared),
        folds=None if folds is None else _count(folds),
        teacher_config=_text(content['teacher_config']) if folds else None,
        images=_count(content['images']),
        failed=_count(content['failed']),
        instances=_count(content['instances']),
        candidates=_count(content['candidates']),
    )


def _numbers_by_name(content: Mapping[str, Any] | None) -> dict[str, float] | None:
    if content is None:
        return None
    return {str(name): _number(value) for name, value in content.items()}


def _number(value: Any) -> float:
    """Parse a number; null and non-finite values become NaN."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'a number is expected, got {value!r}')
    return float(value) if math.isfinite(float(value)) else math.nan


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'a whole number is expected, got {value!r}')
    return value


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
