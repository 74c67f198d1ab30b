"""Fused poses of some instances, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class FusedPoses:
    """Fused poses of `N` instances with `K` keypoints.

    Attributes:
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2).
        keypoint_scores: Score of each keypoint, from the fused output, (N, K).
        keypoint_agreement: How far the views agree, 1 being best, (N, K).
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: slice) -> FusedPoses:
        return FusedPoses(
            self.keypoints[rows],
            self.keypoint_scores[rows],
            self.keypoint_agreement[rows],
        )


def join_poses(parts: Sequence[FusedPoses], num_keypoints: int) -> FusedPoses:
    """Concatenate poses; without any, an empty one of the right shape."""
    nothing = np.zeros((0, num_keypoints, 2), dtype=np.float32)
    parts = [FusedPoses(nothing, nothing[..., 0], nothing[..., 0]), *parts]
    return FusedPoses(
        np.concatenate([part.keypoints for part in parts]),
        np.concatenate([part.keypoint_scores for part in parts]),
        np.concatenate([part.keypoint_agreement for part in parts]),
    )
