"""On how many images the views of a teacher agree."""

from __future__ import annotations

import numpy as np


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
