"""What labels are worth: precision, recall and error, by score.

Shapes: `M` candidates of all images, `T` thresholds. A weight is how many labels a
candidate stands for.
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
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of the candidates that score at least as much.

    Args:
        scores: Scores of the candidates, (M,).
        correct: Which of them found a true instance, (M,), bool.
        counted: Which of them count: not those that found an ignored one, (M,).
        num_true: True instances that count.
        thresholds: Thresholds, (T,), compared in the precision of the scores.
        weights: Weights of the candidates, (M,); 1 each by default.

    Returns:
        Precision, NaN where nothing scores as much, and recall, NaN without true
        instances, both (T,).
    """
    order = np.argsort(-scores[counted], kind='stable')
    ranked = scores[counted][order]
    weights = np.ones(len(scores)) if weights is None else weights
    weighed = np.stack([correct * weights, weights])[:, counted][:, order]
    found, total = np.cumsum(np.pad(weighed, ((0, 0), (1, 0))), axis=1)
    kept = np.searchsorted(-ranked, -thresholds.astype(scores.dtype), side='right')
    with np.errstate(invalid='ignore'):
        return found[kept] / total[kept], found[kept] / np.float64(num_true)


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


def mean_error(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The weighted mean of what is known.

    Args:
        errors: Errors, (M, ...); NaN ones are left out.
        weights: Weights, (M,); 1 each by default.

    Returns:
        The mean; NaN where nothing is known.
    """
    errors, weights = _known(errors, weights)
    return float(np.average(errors, weights=weights)) if len(errors) else float('nan')


def median_error(errors: np.ndarray, weights: np.ndarray) -> float:
    """The weighted median of what is known: as much weight lies below as above it.

    Args:
        errors: Errors, (M, ...); NaN ones are left out.
        weights: Weights, (M,).

    Returns:
        The median, the mean of the two where any between two errors would be one;
        NaN where nothing is known.
    """
    errors, weights = _known(errors, weights)
    if len(errors) == 0:
        return float('nan')
    order = np.argsort(errors, kind='stable')
    below = np.cumsum(weights[order])
    places = [np.searchsorted(below, below[-1] / 2, side=s) for s in ('left', 'right')]
    return float(errors[order[places]].mean())


def binned_errors(
    values: np.ndarray,
    errors: np.ndarray,
    num_bins: int,
    weights: np.ndarray | None = None,
) -> Binned:
    """Mean error over a score, in bins between its quantiles.

    Equal values share a bin, so there may be fewer bins.

    Args:
        values: Scores, (M, ...).
        errors: Errors, the same shape; NaN ones are left out.
        num_bins: Most bins.
        weights: Weights of what the mean is over, (M,); 1 each by default.
    """
    known = ~np.isnan(errors)
    errors, weights = _known(errors, weights)
    values = values[known].astype(np.float64)
    if len(values) == 0:
        return Binned(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    steps = np.linspace(0, 1, num_bins + 1)
    edges = np.unique(np.quantile(values, steps, method='inverted_cdf'))
    inner = edges[1:-1]
    bins = np.searchsorted(inner, values, side='right')
    count = np.bincount(bins, minlength=len(inner) + 1)
    total, weight = (
        np.bincount(bins, weights=each, minlength=len(inner) + 1)
        for each in (errors * weights, weights)
    )
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    return Binned(edges, total / weight, count)


def _known(
    errors: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Errors that are known, and the weight of each, both (N,)."""
    known = ~np.isnan(errors)
    weights = np.ones(len(errors)) if weights is None else weights
    spread = weights.reshape(-1, *(1,) * (errors.ndim - 1))
    return errors[known], np.broadcast_to(spread, errors.shape)[known]
