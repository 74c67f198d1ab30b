"""Paired bootstrap over images: how sure a difference between two models is.

Images are drawn with replacement, and both models are compared on the same draw, so
that what makes an image hard for both cancels (Efron and Tibshirani, An Introduction to
the Bootstrap, 1993, the percentile interval).

Shapes: `I` images, `N` instances, `K` keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 10_000
"""Draws of an interval; with them its ends vary by about a hundredth of its width."""
CHUNK = 4_000_000
"""Numbers of drawn images that are held at a time."""


@dataclass(frozen=True)
class Interval:
    """Mean difference of two models, and the interval that holds it.

    Attributes:
        difference: Mean of the first less that of the second.
        low: Lower end of the interval.
        high: Upper end.

    >>> Interval(0.25, low=0.125, high=0.5).sign
    1
    >>> Interval(0.0, low=-0.125, high=0.125).sign
    0
    """

    difference: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 where the first is better, -1 where it is worse, 0 where chance may be."""
        return int(self.low > 0) - int(self.high < 0)


def paired_interval(
    first: np.ndarray,
    second: np.ndarray,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Compute the bootstrap interval of a mean difference over images.

    Args:
        first: Value of each image by the first model, (I,).
        second: Those by the second one, of the same images in the same order, (I,).
        level: Share of the draws within the interval.
        draws: Draws of I images with replacement.
        seed: Seed of the draws.

    Raises:
        ValueError: If there is no image, or the models have other numbers of them.

    >>> values = np.array([0.25, 0.5, 1.0])
    >>> paired_interval(values, values)
    Interval(difference=0.0, low=0.0, high=0.0)
    >>> paired_interval(values + 0.25, values)
    Interval(difference=0.25, low=0.25, high=0.25)
    """
    if first.shape != second.shape or first.ndim != 1 or len(first) == 0:
        raise ValueError(
            'both models need values of the same images, at least one, got '
            f'{first.shape} and {second.shape}'
        )
    differences = first.astype(np.float64) - second.astype(np.float64)
    count = len(differences)
    generator = np.random.default_rng(seed)
    rows = max(CHUNK // count, 1)
    means = np.concatenate(
        [
            differences[
                generator.integers(count, size=(min(rows, draws - i), count))
            ].mean(axis=1)
            for i in range(0, draws, rows)
        ]
    )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(differences.mean()), float(low), float(high))


def image_means(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Average the values of the instances of each image.

    Args:
        values: Value of each instance, (N,).
        images: Index of its image, (N,); each of 0 to I - 1 has one at least.

    Returns:
        Means, (I,).

    >>> image_means(np.array([0.5, 1.0, 0.25]), np.array([0, 0, 1])).tolist()
    [0.75, 0.25]
    """
    means: np.ndarray = np.bincount(images, values) / np.bincount(images)
    return means


def image_pck(errors: np.ndarray, images: np.ndarray, thr: float) -> np.ndarray:
    """Compute the percentage of correct keypoints (PCK) of each image, as a share.

    Args:
        errors: Error of each keypoint in units of the instance's size, (N, K); NaN
            where it is not annotated.
        images: Index of each instance's image, (N,).
        thr: Error below which a keypoint is correct, as MMPose counts it.

    Returns:
        Shares of the annotated keypoints of an image, (I,); NaN of one without any.

    >>> errors = np.array([[0.125, np.nan], [0.25, 0.0], [0.0, 0.0]])
    >>> image_pck(errors, np.array([0, 0, 1]), thr=0.2).round(4).tolist()
    [0.6667, 1.0]
    """
    known = ~np.isnan(errors)
    correct = (np.where(known, errors, np.inf) < thr).sum(axis=1)
    with np.errstate(invalid='ignore'):
        shares: np.ndarray = np.bincount(images, correct) / np.bincount(
            images, known.sum(axis=1)
        )
    return shares
