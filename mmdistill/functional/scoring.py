"""Scores of instances, from the scores of boxes and keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UNKNOWN_SIGMA = 0.062
"""OKS sigma where the data set states none: that of COCO's wrists."""

AREA_OF_BOX = 0.53
"""Share of its box that a person covers: MMPose's factor where no area is given."""


def instance_scores(
    bbox_scores: np.ndarray, keypoint_scores: np.ndarray, keypoint_thr: float = 0.2
) -> np.ndarray:
    """Box score times the mean of the keypoint scores that count.

    The score by which MMPose's ``CocoMetric(score_mode='bbox_keypoint')`` ranks
    instances, so that a threshold means the same here and in an evaluation.

    Args:
        bbox_scores: Scores of the boxes, (N,).
        keypoint_scores: Scores of the keypoints, (N, K).
        keypoint_thr: A keypoint counts when its score is above this.

    Returns:
        Scores, (N,), float32; 0 for an instance none of whose keypoints count.
    """
    counts = keypoint_scores > keypoint_thr
    total = np.where(counts, keypoint_scores, 0).sum(axis=1, dtype=np.float64)
    mean = total / np.maximum(counts.sum(axis=1), 1)
    return (bbox_scores * mean).astype(np.float32)


def known_sigmas(sigmas: Sequence[float] | None, num_keypoints: int) -> np.ndarray:
    """OKS sigmas of a data set, `UNKNOWN_SIGMA` where it states none.

    MMPose's sets of faces and hands have an empty list of them.

    Args:
        sigmas: Of all keypoints, or of none.
        num_keypoints: Number of keypoints, K.

    Returns:
        Sigmas, (K,).
    """
    if sigmas is None or len(sigmas) == 0:
        return np.full(num_keypoints, UNKNOWN_SIGMA)
    return np.asarray(sigmas)
