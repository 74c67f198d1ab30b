"""Rounding to steps that mean something, so that digits of noise are not stored."""

from __future__ import annotations

import numpy as np

STEPS_PER_PIXEL = 64
"""Coordinates: far finer than any teacher points or any person annotates."""
STEPS_OF_SCORE = 1024
"""Scores of keypoints and the views' agreement: a third decimal."""


def rounded(values: np.ndarray, steps: int) -> np.ndarray:
    """The nearest multiples of a step, exact in float32 below 2^24 steps.

    Args:
        values: Any values.
        steps: Steps in 1, a power of two.

    Returns:
        The multiples, of the same shape, float32.
    """
    return (np.round(np.asarray(values, dtype=np.float64) * steps) / steps).astype(
        np.float32
    )


def rounded_scores(values: np.ndarray, steps: int) -> np.ndarray:
    """The nearest multiples of a step, of which 0 is left to scores that are 0.

    A keypoint of score 0 is one that nothing is known of.

    Args:
        values: Scores, of any shape.
        steps: Steps in 1, a power of two.

    Returns:
        The multiples, of the same shape, float32.

    >>> rounded_scores(np.array([0.0, 1e-9, -1e-9, 0.7]), 4).tolist()
    [0.0, 0.25, -0.25, 0.75]
    """
    scores = rounded(values, steps)
    low = (scores == 0) & (np.asarray(values) != 0)
    return np.where(low, np.copysign(1 / steps, values), scores).astype(np.float32)
