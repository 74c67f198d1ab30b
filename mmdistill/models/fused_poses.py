"""Fused poses of some instances, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class FusedPoses:
    """Fused poses of `N` instances with `K` keypoints.

    Attributes:
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2).
        keypoint_scores: Score of each keypoint, from the fused output, (N, K).
        keypoints_visible: How visible each keypoint is; its score, where the model
            does not predict it, (N, K).
        keypoint_agreement: How far the views agree, 1 being best, (N, K).
        known: Which keypoints the model gave finite numbers for, in every view, (N, K),
            bool; by default all. The others have score 0, agreement 0 and the middle
            of the crop as their coordinates.
    """

    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoints_visible: np.ndarray
    keypoint_agreement: np.ndarray
    known: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.known is None:
            everything = np.ones(self.keypoint_scores.shape, dtype=np.bool_)
            object.__setattr__(self, 'known', everything)

    def __len__(self) -> int:
        return len(self.keypoints)

    def __getitem__(self, rows: slice) -> FusedPoses:
        return FusedPoses(*(getattr(self, field.name)[rows] for field in fields(self)))


def join_poses(parts: Sequence[FusedPoses], num_keypoints: int) -> FusedPoses:
    """Concatenate poses; without any, an empty one of `num_keypoints`."""
    places = np.zeros((0, num_keypoints, 2), dtype=np.float32)
    nothing = FusedPoses(places, *[places[..., 0]] * 3)
    return FusedPoses(
        *(
            np.concatenate([getattr(part, field.name) for part in parts or [nothing]])
            for field in fields(FusedPoses)
        )
    )
