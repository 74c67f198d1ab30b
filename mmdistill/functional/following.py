"""Where an animal is on a frame, by where it was on the frame before."""

from __future__ import annotations

import numpy as np


def followed_box(
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    image_size: tuple[int, int],
    padding: float,
    score_thr: float,
) -> np.ndarray | None:
    """The box around the keypoints of a pose that is sure enough to be followed.

    A pose is followed when at least half of its keypoints score above `score_thr`.
    The box around these has its longer side magnified by `padding`; the shorter one
    grows by as many pixels, since an animal that is seen lengthwise may turn.

    Args:
        keypoints: Coordinates (x, y) in pixels of the frame before, (K, 2).
        keypoint_scores: Their scores, (K,).
        image_size: Width and height of the frame, pixels.
        padding: Factor, from 1.
        score_thr: Score above which a keypoint counts.

    Returns:
        The box (x1, y1, x2, y2), pixels, clipped to the frame, (4,), float32. None
        where the pose is not sure, or less than a pixel of the box is on the frame.
    """
    sure = keypoint_scores > score_thr
    if 2 * sure.sum() < len(sure):
        return None
    low, high = keypoints[sure].min(axis=0), keypoints[sure].max(axis=0)
    margin = (padding - 1) / 2 * (high - low).max()
    box = np.concatenate([low - margin, high + margin]).astype(np.float32)
    box = box.clip(0, np.tile(image_size, 2)).astype(np.float32)
    return box if (box[2:] - box[:2]).min() >= 1 else None
