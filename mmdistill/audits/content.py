"""What an audit found: the content of `audit.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdistill.audits.evidence import OKS_THRESHOLDS, Evidence, errors_in_common
from mmdistill.audits.matched import (
    SHOWN_OKS,
    known,
    label_weights,
    matched_content,
    name_of,
    visible_errors,
)
from mmdistill.audits.rules import Rules
from mmdistill.audits.verdict import verdict
from mmdistill.functional.audit import (
    binned_errors,
    mean_error,
    median_error,
    precision_recall,
)

AUDIT_FILE = 'audit.json'
CURVE_POINTS = 101
BINS = 10
KEYPOINT_BINS = 5
FUSED = 'fused'


def audit_content(
    found: Mapping[str, Evidence],
    names: Sequence[str],
    rules: Rules,
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
        verdict=verdict(matched, given_boxes),
    )


def _curve(evidence: Evidence, rules: Rules) -> dict[str, Any]:
    """Precision and recall by OKS, at thresholds over all values that are compared."""
    values, weights = evidence.judged.values, rules.image_shares
    if not rules.selection.looks_at_all:
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
    evidence: Evidence, names: Sequence[str], rules: Rules
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
