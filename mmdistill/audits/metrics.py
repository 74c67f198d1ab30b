"""What an audit found: the content of `audit.json`.

What a selection would make labels of on audited images, and how good they are.

The verdict of an audit: the noise to expect of the labels, in one sentence.
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
from mmdistill.functional.metrics import (
    binned_errors,
    mean_error,
    median_error,
    precision_recall,
)
from mmdistill.selection.thresholds import Threshold, format_range

AUDIT_FILE = 'audit.json'
CURVE_POINTS = 101
BINS = 10
KEYPOINT_BINS = 5
FUSED = 'fused'


def audit_content(
    found: Mapping[str, MatchedCandidates],
    names: Sequence[str],
    rules: UnlabeledSelection,
    given_boxes: bool,
) -> dict[str, Any]:
    """Everything but the provenance of an audit, as JSON values.

    Errors are distances in units of the instance's size, the square root of its
    area. `calibration` is over all keypoints of the labels kept by the selection,
    whatever they score; `per_keypoint` and the verdict are over those that score
    enough to be visible to the student. `curve` goes over what the selection
    compares, as if there were one threshold. What is not known is None.

    Args:
        found: Evidence by view, 'fused' among them.
        names: Names of the keypoints, (K,).
        rules: The selection of the pile.
        given_boxes: Whether the boxes were the true ones.
    """
    fused = found[FUSED]
    matched = matched_content(fused, rules)
    gains = {
        name: known(evidence.mean_average_precision())
        for name, evidence in found.items()
    }
    errors = errors_in_common(found, rules.selection)
    return dict(
        matched=matched,
        curve=_curve(fused, rules),
        **_calibrations(fused, names, rules),
        gains=gains,
        gains_error={name: known(error) for name, error in errors.items()},
        verdict=summary_sentence(matched, given_boxes),
    )


def _curve(evidence: MatchedCandidates, rules: UnlabeledSelection) -> dict[str, Any]:
    """Precision and recall by OKS, at thresholds over all values that are compared."""
    values, weights = evidence.judged.values, rules.image_shares
    if not rules.selection.needs_all_candidates:
        # Without ranks within a source, all sources compare the same.
        values, weights = values[:1], np.ones(1)
    tries = len(values)
    weights = np.repeat(weights, values.shape[1])
    values = values.reshape(-1)
    usable = np.isfinite(values) & np.tile(evidence.counted[0], tries)
    thresholds = np.zeros(0)
    if usable.any():
        limits = values[usable].min(), values[usable].max()
        thresholds = np.linspace(*limits, CURVE_POINTS)
    curves: dict[str, Any] = dict(precision={}, recall={})
    for oks_thr in SHOWN_OKS:
        row = OKS_THRESHOLDS.index(oks_thr)
        correct, counted = (
            np.tile(each[row], tries) for each in (evidence.correct, evidence.counted)
        )
        pair = precision_recall(
            values, correct, counted, evidence.num_true, thresholds, weights
        )
        for what, numbers in zip(curves, pair, strict=True):
            curves[what][name_of(oks_thr)] = [known(value) for value in numbers]
    return dict(thresholds=thresholds.tolist(), **curves)


def _calibrations(
    evidence: MatchedCandidates, names: Sequence[str], rules: UnlabeledSelection
) -> dict[str, Any]:
    """Errors of the labels over what was said of them, of all and by keypoint."""
    weights = label_weights(evidence, rules)
    kept = weights > 0
    weights, errors = weights[kept], evidence.errors[kept]
    visible = visible_errors(evidence, rules)[kept]
    scales = dict(
        score=evidence.keypoint_scores[kept],
        agreement=evidence.keypoint_agreement[kept],
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
    """What is known of one keypoint: `visible` are its errors where it trains."""
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


SHOWN_OKS = (0.5, 0.75)


def label_weights(evidence: MatchedCandidates, rules: UnlabeledSelection) -> np.ndarray:
    """How many labels each candidate stands for, (M,); 0 for one that is none.

    Without sources that have thresholds of their own a label stands for itself. With
    such ones, all that a source's threshold keeps weighs as much together as the
    source's share in the labels of the pile.

    Args:
        evidence: The candidates.
        rules: The selection of the pile.
    """
    kept = evidence.judged.kept
    counts = kept.sum(axis=1)
    shares = rules.label_shares
    return (shares * (shares @ counts) / np.maximum(counts, 1)) @ kept


def visible_errors(
    evidence: MatchedCandidates, rules: UnlabeledSelection
) -> np.ndarray:
    """Errors of the keypoints that train the student, NaN for others, (M, K).

    Args:
        evidence: The candidates.
        rules: The selection of the pile.
    """
    visible = rules.selection.visible(evidence.keypoint_scores)
    return np.where(visible, evidence.errors, np.nan)


def matched_content(
    evidence: MatchedCandidates, rules: UnlabeledSelection
) -> dict[str, Any]:
    """What holds at the thresholds of the selection, of all labels and by threshold.

    Args:
        evidence: The candidates.
        rules: The selection of the pile.
    """
    selection = rules.selection
    weights, errors = label_weights(evidence, rules), visible_errors(evidence, rules)
    precision = {
        name: ratio(correct @ weights, counted @ weights)
        for name, correct, counted in _shown(evidence)
    }
    found = [
        (correct & evidence.judged.kept).sum(1) for _, correct, _ in _shown(evidence)
    ]
    recall = [ratio(rules.image_shares @ each, evidence.num_true) for each in found]
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
            _part(evidence, rules, errors, place)
            for place in range(len(selection.thresholds))
        ],
    )


def known(value: float) -> float | None:
    """A number, None where it is NaN."""
    return None if math.isnan(value) else float(value)


def ratio(part: float, whole: float) -> float | None:
    """A share, None of nothing."""
    return float(part / whole) if whole else None


def name_of(oks_thr: float) -> str:
    """How an OKS is called in an audit."""
    return f'{oks_thr:g}'


def _part(
    evidence: MatchedCandidates,
    rules: UnlabeledSelection,
    errors: np.ndarray,
    place: int,
) -> dict[str, Any]:
    """What holds at one threshold, for all images as if they were of its source."""
    threshold = rules.selection.thresholds[place]
    row = rules.sources.index(threshold.source)
    kept = evidence.judged.kept[row] & (evidence.judged.places[row] == place)
    num_true = evidence.num_true
    if threshold.category_id is not None:
        num_true = int((evidence.true_categories == threshold.category_id).sum())
    shown = [
        (name, correct[kept], counted[kept])
        for name, correct, counted in _shown(evidence)
    ]
    return dict(
        source=threshold.source,
        category_id=threshold.category_id,
        score_thr=threshold.score_thr,
        labels=_labels_of(rules, threshold),
        kept=int(kept.sum()),
        error=_errors(errors[kept], np.ones(kept.sum())),
        precision={
            name: ratio(right.sum(), counted.sum()) for name, right, counted in shown
        },
        recall={name: ratio(right.sum(), num_true) for name, right, _ in shown},
    )


def _labels_of(rules: UnlabeledSelection, threshold: Threshold) -> int:
    """Labels of the pile that are there by a threshold."""
    return sum(
        part.kept
        for part in rules.selection.parts
        if threshold.source in (None, part.source)
        and threshold.category_id in (None, part.category_id)
    )


def _shown(evidence: MatchedCandidates) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, correct and counted candidates, (M,) each, of each OKS that is shown."""
    rows = [OKS_THRESHOLDS.index(oks_thr) for oks_thr in SHOWN_OKS]
    return [
        (name_of(OKS_THRESHOLDS[row]), evidence.correct[row], evidence.counted[row])
        for row in rows
    ]


def _errors(errors: np.ndarray, weights: np.ndarray) -> Mapping[str, float | None]:
    """Weighted mean and median of the errors of labels."""
    labels = weights > 0
    pair = errors[labels], weights[labels]
    return dict(mean=known(mean_error(*pair)), median=known(median_error(*pair)))


def summary_sentence(matched: Mapping[str, Any], given_boxes: bool) -> str:
    """The noise to expect of the labels, in one sentence.

    Args:
        matched: What `matched_content` says.
        given_boxes: Whether the boxes were the true ones.
    """
    start = _start(matched)
    precision = matched['precision'][name_of(SHOWN_OKS[0])]
    if precision is None:
        return f'{start} no candidate on the audited images would be a pseudo-label.'
    about = 'at least about' if given_boxes else 'about'
    sentence = (
        f'{start} {about} {1 - precision:.0%} of the pseudo-labeled instances are '
        f'wrong (OKS below {SHOWN_OKS[0]}; {matched["kept"]} were looked at)'
    )
    error = matched['error']
    if error['mean'] is not None:
        sentence += (
            f" and a visible keypoint is off by {error['mean']:.3f} of the instance's "
            f'size on average (median {error["median"]:.3f})'
        )
    sentence += _by_source(matched)
    if given_boxes:
        sentence += (
            '; this is in true boxes with score 1: false, rough and missed detections '
            'come on top, and scores are higher than with detections; audit those of '
            'these images (--bbox-file) to count them too'
        )
    return f'{sentence}.'


def _start(matched: Mapping[str, Any]) -> str:
    how = 'matched' if matched['rule'] == 'count' else 'given'
    several = 's' if len(matched['score_thrs']) > 1 else ''
    what = '' if matched['by'] == COMPARED['score'] else f' of the {matched["by"]}'
    thresholds = format_range(matched['score_thrs'], 3)
    return f'At the {how} threshold{several} {thresholds}{what}'


def _by_source(matched: Mapping[str, Any]) -> str:
    """How the audited images, which are of no source, stand for several."""
    names = dict.fromkeys(part['source'] for part in matched['parts'])
    if None in names:
        return ''
    return (
        f'; the audited images are of none of the {len(names)} sources, so each '
        "source's threshold was tried on all of them, and counts by its labels in "
        'the pile'
    )
