"""What an audit found: the content of `audit.json`, and its verdict in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmdistill.audits.evidence import OKS_THRESHOLDS, Evidence, errors_in_common
from mmdistill.functional.audit import binned_errors, precision_recall

AUDIT_FILE = 'audit.json'
SHOWN_OKS = (0.5, 0.75)
CURVE_POINTS = 101
BINS = 10
KEYPOINT_BINS = 5
FUSED = 'fused'


def audit_content(
    found: Mapping[str, Evidence],
    names: Sequence[str],
    score_thr: float,
    keypoint_thrs: np.ndarray,
    given_boxes: bool,
) -> dict[str, Any]:
    """Everything but the provenance of an audit, as JSON values.

    Errors are distances in units of the instance's size, the square root of its
    area. `calibration` is over all keypoints of the labels kept at the matched
    threshold, whatever they score; `per_keypoint` and the verdict are over those
    that score enough to be visible to the student. What is not known is None.

    Args:
        found: Evidence by view, 'fused' among them.
        names: Names of the keypoints, (K,).
        score_thr: The matched threshold.
        keypoint_thrs: Keypoint scores above which keypoints are visible, (K,).
        given_boxes: Whether the boxes were the true ones.
    """
    fused = found[FUSED]
    thresholds = np.zeros(0)
    if fused.counted.any():
        scores = fused.scores[fused.counted[0]]
        thresholds = np.linspace(scores.min(), scores.max(), CURVE_POINTS)
    kept = fused.scores >= np.float32(score_thr)
    errors = fused.errors[kept]
    visible = np.where(fused.keypoint_scores[kept] > keypoint_thrs, errors, np.nan)
    scales = dict(
        score=fused.keypoint_scores[kept], agreement=fused.keypoint_agreement[kept]
    )
    content: dict[str, Any] = dict(
        matched=dict(
            score_thr=score_thr,
            keypoint_thrs=[float(t) if np.isfinite(t) else None for t in keypoint_thrs],
            kept=int(kept.sum()),
            error=dict(mean=_mean(visible), median=_median(visible)),
            **_at_one_threshold(fused, score_thr),
        ),
        curve=dict(thresholds=thresholds.tolist(), **_curves(fused, thresholds)),
        calibration={
            name: _binned(values, errors, BINS) for name, values in scales.items()
        },
        per_keypoint=[
            _keypoint(name, visible[:, k], errors[:, k], _column(scales, k))
            for k, name in enumerate(names)
        ],
        gains={
            name: _known(evidence.mean_average_precision())
            for name, evidence in found.items()
        },
        gains_error={
            name: _known(error)
            for name, error in errors_in_common(found, keypoint_thrs).items()
        },
    )
    return dict(content, verdict=verdict(content['matched'], given_boxes))


def verdict(matched: Mapping[str, Any], given_boxes: bool) -> str:
    """The noise to expect of the labels, in one sentence.

    Args:
        matched: What `audit_content` says of the matched threshold.
        given_boxes: Whether the boxes were the true ones.
    """
    start = f'At the matched threshold {matched["score_thr"]:.3f} '
    precision = matched['precision'][_name(SHOWN_OKS[0])]
    if precision is None:
        return f'{start}no candidate on the audited images would be a pseudo-label.'
    sentence = (
        f'{start}about {1 - precision:.0%} of the pseudo-labelled instances are wrong '
        f'(OKS below {SHOWN_OKS[0]}; {matched["kept"]} were looked at)'
    )
    error = matched['error']
    if error['mean'] is not None:
        sentence += (
            f" and a visible keypoint is off by {error['mean']:.3f} of the instance's "
            f'size on average (median {error["median"]:.3f})'
        )
    if given_boxes:
        sentence += (
            '; this is in true boxes with score 1: false, rough and missed detections '
            'come on top, and scores are higher than with detections'
        )
    return f'{sentence}.'


def _curves(evidence: Evidence, thresholds: np.ndarray) -> dict[str, Any]:
    """Precision and recall at each threshold, by OKS."""
    curves: dict[str, dict[str, list[float | None]]] = dict(precision={}, recall={})
    for oks_thr in SHOWN_OKS:
        row = OKS_THRESHOLDS.index(oks_thr)
        pair = precision_recall(
            evidence.scores,
            evidence.correct[row],
            evidence.counted[row],
            evidence.num_true,
            thresholds,
        )
        for what, values in zip(curves, pair, strict=True):
            curves[what][_name(oks_thr)] = [_known(value) for value in values.tolist()]
    return curves


def _at_one_threshold(evidence: Evidence, threshold: float) -> dict[str, Any]:
    """Precision and recall at a threshold, by OKS."""
    curves = _curves(evidence, np.array([threshold]))
    return {
        what: {oks: values[0] for oks, values in by_oks.items()}
        for what, by_oks in curves.items()
    }


def _column(scales: Mapping[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    return {scale: values[:, k] for scale, values in scales.items()}


def _keypoint(
    name: str, visible: np.ndarray, errors: np.ndarray, scales: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """What is known of one keypoint: `visible` are its errors where it trains."""
    return dict(
        name=name,
        error=_mean(visible),
        median=_median(visible),
        count=int((~np.isnan(visible)).sum()),
        calibration={
            scale: _binned(values, errors, KEYPOINT_BINS)
            for scale, values in scales.items()
        },
    )


def _binned(values: np.ndarray, errors: np.ndarray, num_bins: int) -> dict[str, Any]:
    binned = binned_errors(values, errors, num_bins)
    return dict(
        edges=binned.edges.tolist(),
        error=binned.error.tolist(),
        count=binned.count.tolist(),
    )


def _mean(errors: np.ndarray) -> float | None:
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if len(known) else None


def _median(errors: np.ndarray) -> float | None:
    known = errors[~np.isnan(errors)]
    return float(np.median(known)) if len(known) else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _name(oks_thr: float) -> str:
    return f'{oks_thr:g}'
