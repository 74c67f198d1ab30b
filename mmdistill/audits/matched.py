"""What a selection would make labels of on audited images, and how good they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmdistill.audits.evidence import OKS_THRESHOLDS, Evidence
from mmdistill.audits.rules import Rules
from mmdistill.functional.audit import mean_error, median_error
from mmdistill.labels.thresholds import Threshold

SHOWN_OKS = (0.5, 0.75)


def label_weights(evidence: Evidence, rules: Rules) -> np.ndarray:
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


def visible_errors(evidence: Evidence, rules: Rules) -> np.ndarray:
    """Errors of the keypoints that train the student, NaN for others, (M, K).

    Args:
        evidence: The candidates.
        rules: The selection of the pile.
    """
    visible = rules.selection.visible(evidence.keypoint_scores)
    return np.where(visible, evidence.errors, np.nan)


def matched_content(evidence: Evidence, rules: Rules) -> dict[str, Any]:
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
    evidence: Evidence, rules: Rules, errors: np.ndarray, place: int
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


def _labels_of(rules: Rules, threshold: Threshold) -> int:
    """Labels of the pile that are there by a threshold."""
    return sum(
        part.kept
        for part in rules.selection.parts
        if threshold.source in (None, part.source)
        and threshold.category_id in (None, part.category_id)
    )


def _shown(evidence: Evidence) -> list[tuple[str, np.ndarray, np.ndarray]]:
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
