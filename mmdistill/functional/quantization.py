"""Rounding of coordinates and scores to steps above their noise, before storage.

A module of its own, for both steps are part of the format of a store: what rounds
otherwise writes other bytes.
"""

from __future__ import annotations

import numpy as np

STEPS_PER_PIXEL = 64
"""Steps of coordinates, far finer than any teacher's or annotator's precision."""
STEPS_OF_SCORE = 1024
"""Steps of keypoint scores and agreement, about three decimals."""


def rounded(values: np.ndarray, steps: int) -> np.ndarray:
    """Round to the nearest multiples of a step, exact in float32 below 2^24 steps.

    Args:
        values: Values, (...).
        steps: Number of steps in 1, a power of two.

    Returns:
        The multiples, (...), float32.

    >>> rounded(np.array([0.3, 1.9]), 4).tolist()
    [0.25, 2.0]
    """
    return (np.round(np.asarray(values, dtype=np.float64) * steps) / steps).astype(
        np.float32
    )


def rounded_scores(values: np.ndarray, steps: int) -> np.ndarray:
    """Round scores to multiples of a step, to 0 only where they are 0.

    A score of 0 marks a keypoint whose position is unknown.

    Args:
        values: Scores, (...).
        steps: Number of steps in 1, a power of two.

    Returns:
        The multiples, (...), float32.

    >>> rounded_scores(np.array([0.0, 1e-9, -1e-9, 0.7]), 4).tolist()
    [0.0, 0.25, -0.25, 0.75]
    """
    scores = rounded(values, steps)
    low = (scores == 0) & (np.asarray(values) != 0)
    return np.where(low, np.copysign(1 / steps, values), scores).astype(np.float32)
