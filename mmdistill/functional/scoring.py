"""Scores of instances, from the scores of boxes and keypoints.

On how many images the views of a teacher agree.
"""

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


def image_agreement(
    keypoint_agreement: np.ndarray, num_candidates: np.ndarray
) -> np.ndarray:
    """How far the views agree on the best candidate of each image.

    Args:
        keypoint_agreement: Agreement of each keypoint of the candidates, image after
            image, the best one of an image first, (M, K).
        num_candidates: Candidates of each image, (I,).

    Returns:
        The mean over all keypoints, seen or not, (I,), float64; 0 for an image without
        candidates: the views did not find the same.
    """
    found = num_candidates > 0
    first = np.cumsum(num_candidates) - num_candidates
    agreement = np.zeros(len(num_candidates))
    best = keypoint_agreement[first[found]]
    agreement[found] = best.mean(axis=1, dtype=np.float64)
    return agreement
