"""Count matching of keypoints: as many visible ones on a pseudo-label as on a label.

The idea of `count_matching`, one level below: of the instances that are kept, so many
keypoints stay visible as a labelled instance has. A keypoint is visible when its score
is above the threshold (`visible_keypoints`).
"""

from __future__ import annotations

import numpy as np

from mmdistill.functional.count_matching import match_count


def match_keypoints(keypoint_scores: np.ndarray, mean: float) -> float:
    """Threshold above which an instance has as many visible keypoints as wanted.

    As `match_count`: keypoints of equal score stay or go together, of two thresholds
    that are equally near the higher one wins.

    Args:
        keypoint_scores: Scores of the keypoints of the kept instances, (N, K).
        mean: Visible keypoints of an instance to match, 0 to K.

    Returns:
        The threshold, infinite when no keypoint is to be visible.

    Raises:
        ValueError: If a score is NaN or the mean is negative.
    """
    return _just_below(keypoint_scores.reshape(-1), mean * len(keypoint_scores))


def match_keypoint_types(keypoint_scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """A threshold for each type of keypoint, above which as many have it as wanted.

    Args:
        keypoint_scores: Scores of the keypoints of the kept instances, (N, K).
        shares: Share of instances that have each keypoint visible, 0 to 1, (K,).

    Returns:
        The thresholds, (K,), infinite where no keypoint is to be visible.

    Raises:
        ValueError: If a score is NaN or a share is negative.
    """
    columns = zip(keypoint_scores.T, shares, strict=True)
    return np.array(
        [_just_below(column, share * len(column)) for column, share in columns]
    )


def visible_keypoints(
    keypoint_scores: np.ndarray, thresholds: float | np.ndarray
) -> np.ndarray:
    """Which keypoints are visible: those that score above their threshold.

    Args:
        keypoint_scores: Scores, (..., K).
        thresholds: One for all types, or one each, (K,); compared in float32.

    Returns:
        Which, (..., K), bool.
    """
    with np.errstate(over='ignore'):
        limits = np.asarray(thresholds).astype(np.float32)
    return keypoint_scores > limits


def label_keypoints(
    keypoint_scores: np.ndarray, thresholds: float | np.ndarray
) -> np.ndarray:
    """Which keypoints of a candidate are labels: those that are visible, and known.

    A score of 0 says that nothing is known: what the model gave was flat, or not
    finite. No threshold makes a label of it, not even one below 0.

    Args:
        keypoint_scores: Scores, (..., K).
        thresholds: One for all types, or one each, (K,); compared in float32.

    Returns:
        Which, (..., K), bool.

    >>> label_keypoints(np.array([0.0, 0.25, -0.5]), -1).tolist()
    [False, True, True]
    """
    return visible_keypoints(keypoint_scores, thresholds) & (keypoint_scores != 0)


def _just_below(scores: np.ndarray, target: float) -> float:
    """The matched threshold as one to be above, in float32."""
    matched = np.float32(match_count(scores, target).threshold)
    return (
        float(np.nextafter(matched, np.float32(-np.inf)))
        if matched < np.inf
        else np.inf
    )
