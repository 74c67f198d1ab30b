"""Weights of pseudo-labeled keypoints in the loss, from what is known about each.

View agreement tells where a teacher's position can be trusted, its score whether the
keypoint is there at all; Soft Teacher (Xu et al., ICCV 2021) filters the two apart in
the same way.
"""

from __future__ import annotations

import numpy as np

CRITERIA = ('agreement', 'score', 'both')


def keypoint_values(
    criterion: str, scores: np.ndarray, agreement: np.ndarray | None = None
) -> np.ndarray:
    """Return what keypoints are weighted by.

    Args:
        criterion: 'agreement', 'score', or 'both': their geometric mean.
        scores: Scores of the keypoints, any shape; below 0 they are 0.
        agreement: Agreement of the views on each, the same shape; only 'score' needs
            none.

    Returns:
        Values of at least 0, of that shape, float64.

    Raises:
        ValueError: If the criterion is none of the three, or needs an agreement.

    >>> keypoint_values('both', np.array([0.25, -0.5]), np.array([1.0, 0.5])).tolist()
    [0.5, 0.0]
    """
    if criterion not in CRITERIA:
        raise ValueError(f'criterion must be one of {CRITERIA}, got {criterion!r}')
    values: np.ndarray = np.clip(scores, 0, None).astype(np.float64)
    if criterion == 'score':
        return values
    if agreement is None:
        raise ValueError(f'criterion {criterion!r} needs the agreement of the views')
    agreed: np.ndarray = np.clip(agreement, 0, None).astype(np.float64)
    return agreed if criterion == 'agreement' else np.sqrt(values * agreed)


def keypoint_weights(
    values: np.ndarray, power: float = 1.0, floor: float = 0.0
) -> np.ndarray:
    """Turn values into weights, ``max(floor, values ** power)``.

    Args:
        values: Values of at least 0, any shape.
        power: Exponent, at least 0; 0 weights all alike, and a larger one takes more
            from keypoints of low values.
        floor: The least weight.

    Returns:
        Weights, of that shape, float32.

    >>> keypoint_weights(np.array([0.5, 0.25, 0.0]), power=2, floor=0.125).tolist()
    [0.25, 0.125, 0.125]
    """
    weights: np.ndarray = np.maximum(np.power(values, power), floor)
    return weights.astype(np.float32)


def mean_one(weights: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Scale weights so that their mean over a mask is 1.

    A pseudo-label then counts as much as a labeled instance in the mean, so that the
    labeled share of a batch keeps its meaning.

    Args:
        weights: Weights, any shape.
        mask: Mask of those that count, the same shape, bool.

    Returns:
        Weights, of that shape, float32; unchanged where none counts or all of those
        are 0.

    >>> mask = np.array([True, True, False])
    >>> mean_one(np.array([0.75, 0.25, 1.0]), mask).tolist()
    [1.5, 0.5, 2.0]
    """
    mean = weights[mask].mean(dtype=np.float64) if mask.any() else 0.0
    scaled: np.ndarray = weights / mean if mean > 0 else weights
    return scaled.astype(np.float32)


def weights_for_power(weights: np.ndarray, power: float) -> np.ndarray:
    """Return what a loss must be given so that a keypoint counts its weight in it.

    Losses that multiply prediction and target by the weight before they square their
    difference count the weight's square: they get its root.

    Args:
        weights: Weights of at least 0, any shape.
        power: Power of the weight that the loss counts: 1, or 2 where it is squared.

    Returns:
        Weights, of that shape and dtype.

    >>> weights_for_power(np.array([0.25, 1.0]), 2).tolist()
    [0.5, 1.0]
    """
    return weights if power == 1 else (weights ** (1 / power)).astype(weights.dtype)
