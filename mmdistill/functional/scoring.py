"""Scores of instances, from the scores of boxes and keypoints."""

from __future__ import annotations

import numpy as np

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
