"""What labels are worth: precision, recall and error, by score.

Shapes: `M` candidates of all images, `T` thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO's average precision looks."""


@dataclass(frozen=True)
class Binned:
    """Mean error over bins of a score, each with about as many values.

    Attributes:
        edges: Edges of the bins, ascending, (bins + 1,); empty without values.
        error: Mean error in each, (bins,).
        count: Values in each, (bins,).
    """

    edges: np.ndarray
    error: np.ndarray
    count: np.ndarray


def precision_recall(
    scores: np.ndarray,
    correct: np.ndarray,
    counted: np.ndarray,
    num_true: int,
    thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of the candidates that score at least as much.

    Args:
        scores: Scores of the candidates, (M,).
        correct: Which of them found a true instance, (M,), bool.
        counted: Which of them count: not those that found an ignored one, (M,).
        num_true: True instances that count.
        thresholds: Thresholds, (T,), compared in the precision of the scores.

    Returns:
        Precision, NaN where nothing scores as much, and recall, NaN without true
        instances, both (T,).
    """
    order = np.argsort(-scores[counted], kind='stable')
    ranked = scores[counted][order]
    found = np.concatenate([[0], np.cumsum(correct[counted][order])])
    kept = np.searchsorted(-ranked, -thresholds.astype(scores.dtype), side='right')
    with np.errstate(invalid='ignore'):
        return found[kept] / kept, found[kept] / np.float64(num_true)


def average_precision(
    scores: np.ndarray, correct: np.ndarray, counted: np.ndarray, num_true: int
) -> float:
    """Average precision as COCO's evaluation counts it, at one OKS.

    The highest precision at that recall or more, averaged over 101 recalls.

    Args:
        scores: Scores of the candidates, (M,).
        correct: Which of them found a true instance, (M,), bool.
        counted: Which of them count, (M,), bool.
        num_true: True instances that count.

    Returns:
        The average precision; NaN without true instances.
    """
    if num_true == 0:
        return float('nan')
    order = np.argsort(-scores[counted], kind='stable')
    found = np.cumsum(correct[counted][order])
    precision = found / np.arange(1, len(found) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(found / num_true, RECALLS)
    return float(np.append(highest, 0.0)[first].mean())


def binned_errors(values: np.ndarray, errors: np.ndarray, num_bins: int) -> Binned:
    """Mean error over a score, in bins between its quantiles.

    Equal values share a bin, so there may be fewer bins.

    Args:
        values: Scores, any shape.
        errors: Errors, the same shape; NaN ones are left out.
        num_bins: Most bins.
    """
    known = ~np.isnan(errors)
    values, errors = values[known].astype(np.float64), errors[known]
    if len(values) == 0:
        return Binned(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    steps = np.linspace(0, 1, num_bins + 1)
    edges = np.unique(np.quantile(values, steps, method='inverted_cdf'))
    inner = edges[1:-1]
    bins = np.searchsorted(inner, values, side='right')
    count = np.bincount(bins, minlength=len(inner) + 1)
    total = np.bincount(bins, weights=errors, minlength=len(inner) + 1)
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    return Binned(edges, total / count, count)
