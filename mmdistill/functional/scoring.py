"""Scores of instances and agreement of views per image, from those of keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNKNOWN_SIGMA = 0.062
"""OKS sigma of a data set that states none: that of COCO's wrists."""

AREA_OF_BOX = 0.53
"""Area of an instance as a share of its box: MMPose's factor for unknown areas."""


def masked_mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Average the values of each row that count.

    Args:
        values: Values, as scores of keypoints, (N, K).
        mask: Mask of those that count, (N, K), bool.

    Returns:
        Means, (N,), float64; 0 for a row none of whose values count.

    >>> mask = np.array([[True, True, False], [False, False, False]])
    >>> masked_mean(np.array([[0.5, 1.0, 0.0]] * 2), mask).tolist()
    [0.75, 0.0]
    """
    total = np.where(mask, values, 0).sum(axis=1, dtype=np.float64)
    mean: np.ndarray = total / np.maximum(mask.sum(axis=1), 1)
    return mean


def instance_scores(
    bbox_scores: np.ndarray, keypoint_scores: np.ndarray, keypoint_thr: float = 0.2
) -> np.ndarray:
    """Multiply the box score by the mean of the keypoint scores that count.

    It is the score by which MMPose's ``CocoMetric(score_mode='bbox_keypoint')`` ranks
    instances, so that a threshold means the same here and in an evaluation.

    Args:
        bbox_scores: Scores of the boxes, (N,).
        keypoint_scores: Scores of the keypoints, (N, K).
        keypoint_thr: A keypoint counts when its score is above this.

    Returns:
        Scores, (N,), float32; 0 for an instance none of whose keypoints count.

    >>> scores = np.array([[0.75, 0.25, 0.1], [0.1, 0.0, 0.0]])
    >>> instance_scores(np.array([0.5, 1.0]), scores).tolist()
    [0.25, 0.0]
    """
    mean = masked_mean(keypoint_scores, keypoint_scores > keypoint_thr)
    return (bbox_scores * mean).astype(np.float32)


def known_sigmas(sigmas: Sequence[float] | None, num_keypoints: int) -> np.ndarray:
    """Return the OKS sigmas of a data set, `UNKNOWN_SIGMA` where it states none.

    MMPose's sets of faces and hands have an empty list of them.

    Args:
        sigmas: Sigmas of all keypoints, or of none.
        num_keypoints: Number of keypoints, K.

    Returns:
        Sigmas, (K,).

    >>> known_sigmas([], 2).tolist()
    [0.062, 0.062]
    """
    if sigmas is None or len(sigmas) == 0:
        return np.full(num_keypoints, UNKNOWN_SIGMA)
    return np.asarray(sigmas)


def image_agreement(
    keypoint_agreement: np.ndarray, num_candidates: np.ndarray
) -> np.ndarray:
    """Compute the agreement of the views on the best candidate of each image.

    Args:
        keypoint_agreement: Agreement of each keypoint of the candidates, image after
            image, the best one of an image first, (M, K).
        num_candidates: Candidates of each image, (I,).

    Returns:
        The mean over all keypoints, visible or not, (I,), float64; 0 for an image
        without candidates, on which the views agree on nothing.

    >>> agreement = np.array([[0.5, 1.0], [0.0, 0.0], [0.25, 0.25]])
    >>> image_agreement(agreement, np.array([2, 0, 1])).tolist()
    [0.75, 0.0, 0.25]
    """
    has_candidates = num_candidates > 0
    first = np.cumsum(num_candidates) - num_candidates
    agreement = np.zeros(len(num_candidates))
    best = keypoint_agreement[first[has_candidates]]
    agreement[has_candidates] = best.mean(axis=1, dtype=np.float64)
    return agreement
