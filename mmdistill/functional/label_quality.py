"""Quality of labels by score: precision, recall and localization error.

Shapes: `M` candidates of all images, `T` thresholds. A weight is the number of labels
that a candidate represents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO's average precision samples the precision."""


@dataclass(frozen=True)
class Binned:
    """Mean error over bins of a score, each with about as many values.

    Attributes:
        edges: Edges of the bins, ascending, (bins + 1,); empty without values.
        error: Mean error in each, (bins,).
        count: Values in each, (bins,).

    >>> Binned(np.array([0.0, 1.0]), error=np.array([0.25]), count=np.array([4])).count
    array([4])
    """

    edges: np.ndarray
    error: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class PairedGain:
    """Share of an error that is gone in another one of the same keypoints.

    Attributes:
        share: 1 - after / before of both means; negative where the error grew, NaN
            where none is known or none was there before.
        standard_error: Standard error of the share; NaN for fewer than two groups.

    >>> PairedGain(0.04, standard_error=0.01).is_clear
    True
    """

    share: float
    standard_error: float

    @property
    def is_clear(self) -> bool:
        """Whether the share is beyond two standard errors, to either side of 0."""
        return abs(self.share) > 2 * self.standard_error


def precision_recall(
    scores: np.ndarray,
    correct: np.ndarray,
    counted: np.ndarray,
    num_true: int,
    thresholds: np.ndarray,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute precision and recall by score threshold.

    Args:
        scores: Scores of the candidates, (M,).
        correct: Mask of those that match a true instance, (M,), bool.
        counted: Mask of those that count: all that match no ignored instance, (M,).
        num_true: True instances that count.
        thresholds: Thresholds, (T,), compared in the precision of the scores.
        weights: Weights of the candidates, (M,); 1 each by default.

    Returns:
        Precision, NaN where nothing scores as much, and recall, NaN without true
        instances, both (T,).

    >>> scores, correct = np.array([0.9, 0.8, 0.4]), np.array([True, False, True])
    >>> counted, thresholds = np.ones(3, dtype=bool), np.array([0.5, 0.85])
    >>> precision, recall = precision_recall(scores, correct, counted, 2, thresholds)
    >>> precision.tolist(), recall.tolist()
    ([0.5, 1.0], [0.5, 0.5])
    """
    order = np.argsort(-scores[counted], kind='stable')
    ranked = scores[counted][order]
    weights = np.ones(len(scores)) if weights is None else weights
    ordered = np.stack([correct * weights, weights])[:, counted][:, order]
    matched, total = np.cumsum(np.pad(ordered, ((0, 0), (1, 0))), axis=1)
    kept = np.searchsorted(-ranked, -thresholds.astype(scores.dtype), side='right')
    with np.errstate(invalid='ignore'):
        return matched[kept] / total[kept], matched[kept] / np.float64(num_true)


def average_precision(
    scores: np.ndarray, correct: np.ndarray, counted: np.ndarray, num_true: int
) -> float:
    """Compute average precision as COCO's evaluation does, at one OKS.

    The highest precision at that recall or more, averaged over 101 recalls.

    Args:
        scores: Scores of the candidates, (M,).
        correct: Mask of those that match a true instance, (M,), bool.
        counted: Mask of those that count, (M,), bool.
        num_true: True instances that count.

    Returns:
        The average precision; NaN without true instances.

    >>> scores, correct = np.array([0.9, 0.8, 0.4]), np.array([True, False, True])
    >>> round(average_precision(scores, correct, np.ones(3, dtype=bool), 2), 4)
    0.835
    """
    if num_true == 0:
        return float('nan')
    order = np.argsort(-scores[counted], kind='stable')
    matched = np.cumsum(correct[counted][order])
    precision = matched / np.arange(1, len(matched) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    first = np.searchsorted(matched / num_true, RECALLS)
    return float(np.append(highest, 0.0)[first].mean())


def mean_error(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Compute the weighted mean of the known errors.

    Args:
        errors: Errors, (M, ...); NaN ones are left out.
        weights: Weights, (M,); 1 each by default.

    Returns:
        The mean; NaN where nothing is known.

    >>> mean_error(np.array([0.25, np.nan, 0.75]), np.array([3, 1, 1]))
    0.375
    """
    errors, weights = _known(errors, weights)
    return float(np.average(errors, weights=weights)) if len(errors) else float('nan')


def median_error(errors: np.ndarray, weights: np.ndarray) -> float:
    """Compute the weighted median of the known errors.

    Args:
        errors: Errors, (M, ...); NaN ones are left out.
        weights: Weights, (M,).

    Returns:
        The median; the mean of the two middle errors where any value between them
        would be one; NaN where nothing is known.

    >>> median_error(np.array([0.25, np.nan, 0.75]), np.array([3, 1, 1]))
    0.25
    """
    errors, weights = _known(errors, weights)
    if len(errors) == 0:
        return float('nan')
    order = np.argsort(errors, kind='stable')
    below = np.cumsum(weights[order])
    middle = [np.searchsorted(below, below[-1] / 2, side=s) for s in ('left', 'right')]
    return float(errors[order[middle]].mean())


def paired_gain(
    before: np.ndarray, after: np.ndarray, groups: np.ndarray
) -> PairedGain:
    """Compute the share by which the mean error falls, with its standard error.

    Both errors are of the same keypoints, so that a hard image is hard in both and
    cancels; those of one image are not independent, so that images are the sample. The
    share is one minus a ratio of two sums over images, and its standard error that of
    a ratio estimator (Cochran, Sampling Techniques, 1977, chapter 6).

    Args:
        before: Errors before, (M, ...).
        after: Errors after, (M, ...); a pair is left out where either is NaN.
        groups: Image of each row, (M,), numbers or texts.

    >>> before, after = np.array([2.0, 2.0, 2.0, 2.0]), np.array([1.0, 2.0, 1.0, 2.0])
    >>> gain = paired_gain(before, after, np.array([0, 1, 2, 3]))
    >>> gain.share, round(gain.standard_error, 4)
    (0.25, 0.1443)
    """
    known = ~(np.isnan(before) | np.isnan(after))
    spread = groups.reshape(-1, *(1,) * (before.ndim - 1))
    groups = np.broadcast_to(spread, before.shape)[known]
    names, numbers = np.unique(groups, return_inverse=True)
    sums = [
        np.bincount(numbers, weights=errors[known], minlength=len(names))
        for errors in (before, after)
    ]
    total = sums[0].sum()
    if not total > 0:
        return PairedGain(float('nan'), float('nan'))
    ratio = sums[1].sum() / total
    if len(names) < 2:
        return PairedGain(float(1 - ratio), float('nan'))
    residuals = sums[1] - ratio * sums[0]
    variance = len(names) / (len(names) - 1) * (residuals**2).sum()
    return PairedGain(float(1 - ratio), float(np.sqrt(variance) / total))


def binned_errors(
    values: np.ndarray,
    errors: np.ndarray,
    num_bins: int,
    weights: np.ndarray | None = None,
) -> Binned:
    """Compute the mean error in bins between quantiles of a score.

    Equal values share a bin, so there may be fewer bins.

    Args:
        values: Scores, (M, ...).
        errors: Errors, (M, ...); NaN ones are left out.
        num_bins: Maximum number of bins.
        weights: Weights of the candidates, (M,); 1 each by default.

    >>> values = np.array([0.1, 0.2, 0.8, 0.9])
    >>> errors = np.array([0.75, 0.25, 0.0, 0.5])
    >>> bins = binned_errors(values, errors, num_bins=2)
    >>> bins.edges.tolist(), bins.error.tolist(), bins.count.tolist()
    ([0.1, 0.2, 0.9], [0.75, 0.25], [1, 3])
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
        np.bincount(bins, weights=terms, minlength=len(inner) + 1)
        for terms in (errors * weights, weights)
    )
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    return Binned(edges, total / weight, count)


def _known(
    errors: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Known errors with their weights, both (N,)."""
    known = ~np.isnan(errors)
    weights = np.ones(len(errors)) if weights is None else weights
    spread = weights.reshape(-1, *(1,) * (errors.ndim - 1))
    return errors[known], np.broadcast_to(spread, errors.shape)[known]
