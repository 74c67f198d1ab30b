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
