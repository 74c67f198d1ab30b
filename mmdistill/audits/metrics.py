"""Metrics of an audit: the content of `audit.json`.

They measure the candidates that the selection would keep on the audited images, and end
in one sentence about the label noise to expect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdistill.audits.candidates import (
    OKS_THRESHOLDS,
    MatchedCandidates,
    errors_in_common,
)
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.config.selection_options import COMPARED
from mmdistill.functional.label_quality import (
    binned_errors,
    mean_error,
    median_error,
    precision_recall,
)
from mmdistill.selection.threshold_groups import Threshold, format_range

AUDIT_FILE = 'audit.json'
CURVE_POINTS = 101
BINS = 10
KEYPOINT_BINS = 5
FUSED = 'fused'


def audit_content(
    candidates_by_view: Mapping[str, MatchedCandidates],
    names: Sequence[str],
    unlabeled_selection: UnlabeledSelection,
    true_boxes: bool,
) -> dict[str, Any]:
    """Compute all of an audit but its provenance, as JSON values.

    Errors are distances in units of the instance's size, the square root of its
    area. `calibration` is over all keypoints of the labels kept by the selection,
    whatever their score; `per_keypoint` and the sentence are over those that are
    visible to the student. `curve` is over the values that the selection compares, as
    for a single threshold. Unknown values are None.

    Args:
        candidates_by_view: Matched candidates by view, 'fused' among them.
        names: Names of the keypoints, (K,).
        unlabeled_selection: The selection of the unlabeled set.
        true_boxes: Whether the boxes were the true ones.
    """
    fused = candidates_by_view[FUSED]
    matched = matched_content(fused, unlabeled_selection)
    gains = {
        name: known(candidates.mean_average_precision())
        for name, candidates in candidates_by_view.items()
    }
    errors = errors_in_common(candidates_by_view, unlabeled_selection.selection)
    return dict(
        matched=matched,
        curve=_curve(fused, unlabeled_selection),
        **_calibrations(fused, names, unlabeled_selection),
        gains=gains,
        gains_error={name: known(error) for name, error in errors.items()},
        verdict=summary_sentence(matched, true_boxes),
    )


def _curve(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> dict[str, Any]:
    """Precision and recall by OKS, over thresholds in the range of compared values."""
    values, weights = candidates.outcome.values, unlabeled_selection.image_shares
    if not unlabeled_selection.selection.needs_all_candidates:
        # Unless ranks within a source are compared, values are equal for all sources.
        values, weights = values[:1], np.ones(1)
    tries = len(values)
    weights = np.repeat(weights, values.shape[1])
    values = values.reshape(-1)
    usable = np.isfinite(values) & np.tile(candidates.counted[0], tries)
    thresholds = np.zeros(0)
    if usable.any():
        limits = values[usable].min(), values[usable].max()
        thresholds = np.linspace(*limits, CURVE_POINTS)
    curves: dict[str, Any] = dict(precision={}, recall={})
    for oks_thr in REPORTED_OKS:
        row = OKS_THRESHOLDS.index(oks_thr)
        correct, counted = (
            np.tile(rows[row], tries)
            for rows in (candidates.correct, candidates.counted)
        )
        pair = precision_recall(
            values, correct, counted, candidates.num_true, thresholds, weights
        )
        for what, numbers in zip(curves, pair, strict=True):
            curves[what][name_of(oks_thr)] = [known(value) for value in numbers]
    return dict(thresholds=thresholds.tolist(), **curves)


def _calibrations(
    candidates: MatchedCandidates,
    names: Sequence[str],
    unlabeled_selection: UnlabeledSelection,
) -> dict[str, Any]:
    """Errors by score and by agreement, of all keypoints and of each type."""
    weights = label_weights(candidates, unlabeled_selection)
    kept = weights > 0
    weights, errors = weights[kept], candidates.errors[kept]
    visible = visible_errors(candidates, unlabeled_selection)[kept]
    scales = dict(
        score=candidates.keypoint_scores[kept],
        agreement=candidates.keypoint_agreement[kept],
    )
    return dict(
        calibration={
            name: _binned(values, errors, BINS, weights)
            for name, values in scales.items()
        },
        per_keypoint=[
            _keypoint(name, visible[:, k], errors[:, k], _column(scales, k), weights)
            for k, name in enumerate(names)
        ],
    )


def _column(scales: Mapping[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    return {scale: values[:, k] for scale, values in scales.items()}


def _keypoint(
    name: str,
    visible: np.ndarray,
    errors: np.ndarray,
    scales: Mapping[str, np.ndarray],
    weights: np.ndarray,
) -> dict[str, Any]:
    """Errors of one keypoint type; `visible` are those of visible keypoints."""
    return dict(
        name=name,
        error=known(mean_error(visible, weights)),
        median=known(median_error(visible, weights)),
        count=int((~np.isnan(visible)).sum()),
        calibration={
            scale: _binned(values, errors, KEYPOINT_BINS, weights)
            for scale, values in scales.items()
        },
    )


def _binned(
    values: np.ndarray, errors: np.ndarray, num_bins: int, weights: np.ndarray
) -> dict[str, Any]:
    binned = binned_errors(values, errors, num_bins, weights)
    return dict(
        edges=binned.edges.tolist(),
        error=binned.error.tolist(),
        count=binned.count.tolist(),
    )


REPORTED_OKS = (0.5, 0.75)


def label_weights(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> np.ndarray:
    """Weight each candidate by the labels it represents, (M,); 0 if it is rejected.

    Without thresholds by source, a label has weight 1. With them, the total weight of
    the labels of a source is the share of the source in the labels of the unlabeled
    set.

    Args:
        candidates: The candidates.
        unlabeled_selection: The selection of the unlabeled set.
    """
    kept = candidates.outcome.kept
    counts = kept.sum(axis=1)
    shares = unlabeled_selection.label_shares
    return (shares * (shares @ counts) / np.maximum(counts, 1)) @ kept


def visible_errors(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> np.ndarray:
    """Return errors of keypoints visible to the student, NaN for others, (M, K).

    Args:
        candidates: The candidates.
        unlabeled_selection: The selection of the unlabeled set.
    """
    visible = unlabeled_selection.selection.visible(candidates.keypoint_scores)
    return np.where(visible, candidates.errors, np.nan)


def matched_content(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> dict[str, Any]:
    """Measure the labels at the thresholds of the selection, all and by threshold.

    Args:
        candidates: The candidates.
        unlabeled_selection: The selection of the unlabeled set.
    """
    selection = unlabeled_selection.selection
    weights, errors = (
        label_weights(candidates, unlabeled_selection),
        visible_errors(candidates, unlabeled_selection),
    )
    precision = {
        name: ratio(correct @ weights, counted @ weights)
        for name, correct, counted in _by_oks(candidates)
    }
    kept_correct = [
        (correct & candidates.outcome.kept).sum(1)
        for _, correct, _ in _by_oks(candidates)
    ]
    recall = [
        ratio(unlabeled_selection.image_shares @ counts, candidates.num_true)
        for counts in kept_correct
    ]
    return dict(
        by=selection.options.compared,
        rule=selection.rule,
        score_thrs=selection.score_thrs,
        keypoint_thrs=list(selection.keypoint_thrs),
        kept=int((weights > 0).sum()),
        error=_errors(errors, weights),
        precision=precision,
        recall=dict(zip(precision, recall, strict=True)),
        parts=[
            _threshold_metrics(candidates, unlabeled_selection, errors, index)
            for index in range(len(selection.thresholds))
        ],
    )


def known(value: float) -> float | None:
    """Replace NaN by None."""
    return None if math.isnan(value) else float(value)


def ratio(dividend: float, divisor: float) -> float | None:
    """Divide; None if the divisor is 0."""
    return float(dividend / divisor) if divisor else None


def name_of(oks_thr: float) -> str:
    """Format an OKS threshold as a key of an audit."""
    return f'{oks_thr:g}'


def _threshold_metrics(
    candidates: MatchedCandidates,
    unlabeled_selection: UnlabeledSelection,
    errors: np.ndarray,
    index: int,
) -> dict[str, Any]:
    """Metrics at one threshold, for all images as if they were of its source."""
    threshold = unlabeled_selection.selection.thresholds[index]
    row = unlabeled_selection.sources.index(threshold.source)
    kept = candidates.outcome.kept[row] & (
        candidates.outcome.threshold_index[row] == index
    )
    num_true = candidates.num_true
    if threshold.category_id is not None:
        num_true = int((candidates.true_categories == threshold.category_id).sum())
    by_oks = [
        (name, correct[kept], counted[kept])
        for name, correct, counted in _by_oks(candidates)
    ]
    return dict(
        source=threshold.source,
        category_id=threshold.category_id,
        score_thr=threshold.score_thr,
        labels=_num_labels(unlabeled_selection, threshold),
        kept=int(kept.sum()),
        error=_errors(errors[kept], np.ones(kept.sum())),
        precision={
            name: ratio(right.sum(), counted.sum()) for name, right, counted in by_oks
        },
        recall={name: ratio(right.sum(), num_true) for name, right, _ in by_oks},
    )


def _num_labels(unlabeled_selection: UnlabeledSelection, threshold: Threshold) -> int:
    """Number of pseudo-labels of the unlabeled set at a threshold."""
    return sum(
        count.kept
        for count in unlabeled_selection.selection.parts
        if threshold.source in (None, count.source)
        and threshold.category_id in (None, count.category_id)
    )


def _by_oks(candidates: MatchedCandidates) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, correct and counted candidates, (M,) each, of each reported OKS."""
    rows = [OKS_THRESHOLDS.index(oks_thr) for oks_thr in REPORTED_OKS]
    return [
        (name_of(OKS_THRESHOLDS[row]), candidates.correct[row], candidates.counted[row])
        for row in rows
    ]


def _errors(errors: np.ndarray, weights: np.ndarray) -> Mapping[str, float | None]:
    """Weighted mean and median of the errors of labels."""
    labels = weights > 0
    pair = errors[labels], weights[labels]
    return dict(mean=known(mean_error(*pair)), median=known(median_error(*pair)))


def summary_sentence(matched: Mapping[str, Any], true_boxes: bool) -> str:
    """Summarize the label noise to expect in one sentence.

    Args:
        matched: Result of `matched_content`.
        true_boxes: Whether the boxes were the true ones.
    """
    start = _summary_start(matched)
    precision = matched['precision'][name_of(REPORTED_OKS[0])]
    if precision is None:
        return f'{start} no candidate on the audited images would be a pseudo-label.'
    about = 'at least about' if true_boxes else 'about'
    sentence = (
        f'{start} {about} {1 - precision:.0%} of the pseudo-labeled instances are '
        f'wrong (OKS below {REPORTED_OKS[0]}; {matched["kept"]} were looked at)'
    )
    error = matched['error']
    if error['mean'] is not None:
        sentence += (
            f" and a visible keypoint is off by {error['mean']:.3f} of the instance's "
            f'size on average (median {error["median"]:.3f})'
        )
    sentence += _source_clause(matched)
    if true_boxes:
        sentence += (
            '; this is in true boxes with score 1: false, rough and missed detections '
            'come on top, and scores are higher than with detections; audit those of '
            'these images (--bbox-file) to count them too'
        )
    return f'{sentence}.'


def _summary_start(matched: Mapping[str, Any]) -> str:
    how = 'matched' if matched['rule'] == 'count' else 'given'
    several = 's' if len(matched['score_thrs']) > 1 else ''
    what = '' if matched['by'] == COMPARED['score'] else f' of the {matched["by"]}'
    thresholds = format_range(matched['score_thrs'], 3)
    return f'At the {how} threshold{several} {thresholds}{what}'


def _source_clause(matched: Mapping[str, Any]) -> str:
    """Clause on how audited images, which belong to no source, represent several."""
    names = dict.fromkeys(part['source'] for part in matched['parts'])
    if None in names:
        return ''
    return (
        f'; the audited images are of none of the {len(names)} sources, so each '
        "source's threshold was tried on all of them, and counts by its labels in "
        'the pile'
    )
