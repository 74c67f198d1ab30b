"""Metrics of an audit.

They measure the candidates that the selection would keep on the audited images, and end
in one sentence about the label noise to expect. Unknown values are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mmdistill.audits.candidates import (
    OKS_THRESHOLDS,
    MatchedCandidates,
    errors_in_common,
)
from mmdistill.audits.rank_correlations import correlate_with_errors
from mmdistill.audits.result import (
    Audit,
    Curve,
    ErrorSummary,
    KeypointMetrics,
    MatchedMetrics,
    ThresholdMetrics,
)
from mmdistill.audits.unlabeled_selection import UnlabeledSelection
from mmdistill.config.selection_options import COMPARED
from mmdistill.functional.label_quality import (
    Binned,
    binned_errors,
    mean_error,
    median_error,
    precision_recall,
)
from mmdistill.selection.threshold_groups import Threshold, format_range

CURVE_POINTS = 101
BINS = 10
KEYPOINT_BINS = 5
FUSED = 'fused'
REPORTED_OKS = (0.5, 0.75)


def measure(
    candidates_by_view: Mapping[str, MatchedCandidates],
    names: Sequence[str],
    unlabeled_selection: UnlabeledSelection,
    true_boxes: bool,
) -> Audit:
    """Compute all of an audit but its provenance and of what kind the labels are.

    `calibration` is over all keypoints of the labels kept by the selection, whatever
    their score; `per_keypoint` and the sentence are over those that are visible to the
    student. `curve` is over the values that the selection compares, as for a single
    threshold.

    Args:
        candidates_by_view: Matched candidates by view, 'fused' among them.
        names: Names of the keypoints, (K,).
        unlabeled_selection: The selection of the unlabeled set.
        true_boxes: Whether the boxes were the true ones.
    """
    fused = candidates_by_view[FUSED]
    matched = measure_labels(fused, unlabeled_selection)
    calibration, per_keypoint = _keypoint_errors(fused, names, unlabeled_selection)
    return Audit(
        matched=matched,
        curve=_curve(fused, unlabeled_selection),
        calibration=calibration,
        rank_correlations=correlate_with_errors(fused, unlabeled_selection),
        per_keypoint=per_keypoint,
        gains={
            name: candidates.mean_average_precision()
            for name, candidates in candidates_by_view.items()
        },
        gains_error=errors_in_common(candidates_by_view, unlabeled_selection.selection),
        verdict=summary_sentence(matched, true_boxes),
    )


def _curve(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> Curve:
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
    precision, recall = {}, {}
    for oks, correct, counted in _by_oks(candidates):
        precision[oks], recall[oks] = precision_recall(
            values,
            np.tile(correct, tries),
            np.tile(counted, tries),
            candidates.num_true,
            thresholds,
            weights,
        )
    return Curve(thresholds, precision, recall)


def _keypoint_errors(
    candidates: MatchedCandidates,
    names: Sequence[str],
    unlabeled_selection: UnlabeledSelection,
) -> tuple[dict[str, Binned], tuple[KeypointMetrics, ...]]:
    """Errors by score and by agreement, of all keypoints and of each type."""
    weights = label_weights(candidates, unlabeled_selection)
    kept = weights > 0
    weights, errors = weights[kept], candidates.errors[kept]
    visible = visible_errors(candidates, unlabeled_selection)[kept]
    scales = dict(
        score=candidates.keypoint_scores[kept],
        agreement=candidates.keypoint_agreement[kept],
    )
    calibration = {
        scale: binned_errors(values, errors, BINS, weights)
        for scale, values in scales.items()
    }
    per_keypoint = tuple(
        KeypointMetrics(
            name=name,
            error=mean_error(visible[:, k], weights),
            median=median_error(visible[:, k], weights),
            count=int((~np.isnan(visible[:, k])).sum()),
            calibration={
                scale: binned_errors(values[:, k], errors[:, k], KEYPOINT_BINS, weights)
                for scale, values in scales.items()
            },
        )
        for k, name in enumerate(names)
    )
    return calibration, per_keypoint


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


def measure_labels(
    candidates: MatchedCandidates, unlabeled_selection: UnlabeledSelection
) -> MatchedMetrics:
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
    return MatchedMetrics(
        by=selection.options.compared,
        rule=selection.rule,
        score_thrs=tuple(selection.score_thrs),
        keypoint_thrs=tuple(map(_or_nan, selection.keypoint_thrs)),
        kept=int((weights > 0).sum()),
        error=_errors(errors, weights),
        precision=precision,
        recall=dict(zip(precision, recall, strict=True)),
        parts=tuple(
            _threshold_metrics(candidates, unlabeled_selection, errors, index)
            for index in range(len(selection.thresholds))
        ),
    )


def ratio(dividend: float, divisor: float) -> float:
    """Divide; NaN if the divisor is 0."""
    return float(dividend / divisor) if divisor else math.nan


def name_of(oks_thr: float) -> str:
    """Format an OKS threshold as a key of an audit."""
    return f'{oks_thr:g}'


def _or_nan(threshold: float | None) -> float:
    return math.nan if threshold is None else threshold


def _threshold_metrics(
    candidates: MatchedCandidates,
    unlabeled_selection: UnlabeledSelection,
    errors: np.ndarray,
    index: int,
) -> ThresholdMetrics:
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
    return ThresholdMetrics(
        source=threshold.source,
        category_id=threshold.category_id,
        score_thr=_or_nan(threshold.score_thr),
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


def _errors(errors: np.ndarray, weights: np.ndarray) -> ErrorSummary:
    """Weighted mean and median of the errors of labels."""
    labels = weights > 0
    pair = errors[labels], weights[labels]
    return ErrorSummary(mean_error(*pair), median_error(*pair))


def summary_sentence(matched: MatchedMetrics, true_boxes: bool) -> str:
    """Summarize the label noise to expect in one sentence.

    Args:
        matched: Metrics of the labels, which are boxes if no keypoint has a threshold.
        true_boxes: Whether the boxes were the true ones.
    """
    of_boxes = not matched.keypoint_thrs
    start = _summary_start(matched)
    precision = matched.precision[name_of(REPORTED_OKS[0])]
    if math.isnan(precision):
        return f'{start} no candidate on the audited images would be a pseudo-label.'
    about = 'at least about' if true_boxes else 'about'
    sentence = (
        f'{start} {about} {1 - precision:.0%} of the pseudo-labeled instances are '
        f'wrong ({"IoU" if of_boxes else "OKS"} below {REPORTED_OKS[0]}; '
        f'{matched.kept} were looked at)'
    )
    error = matched.error
    if not math.isnan(error.mean) and of_boxes:
        sentence += (
            f' and the others overlap the true box by {1 - error.mean:.3f} on average '
            f'(median {1 - error.median:.3f})'
        )
    elif not math.isnan(error.mean):
        sentence += (
            f" and a visible keypoint is off by {error.mean:.3f} of the instance's "
            f'size on average (median {error.median:.3f})'
        )
    sentence += _source_clause(matched)
    if true_boxes:
        sentence += (
            '; this is in true boxes with score 1: false, rough and missed detections '
            'come on top, and scores are higher than with detections; audit those of '
            'these images (--bbox-file) to count them too'
        )
    return f'{sentence}.'


def _summary_start(matched: MatchedMetrics) -> str:
    how = 'matched' if matched.rule == 'count' else 'given'
    several = 's' if len(matched.score_thrs) > 1 else ''
    what = '' if matched.by == COMPARED['score'] else f' of the {matched.by}'
    thresholds = format_range(matched.score_thrs, 3)
    return f'At the {how} threshold{several} {thresholds}{what}'


def _source_clause(matched: MatchedMetrics) -> str:
    """Clause on how audited images, which belong to no source, represent several."""
    names = dict.fromkeys(part.source for part in matched.parts)
    if None in names:
        return ''
    return (
        f'; the audited images are of none of the {len(names)} sources, so each '
        "source's threshold was tried on all of them, and counts by its labels in "
        'the unlabeled set'
    )
