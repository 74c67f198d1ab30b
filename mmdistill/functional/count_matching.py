"""Count matching: as many instances on an unlabeled image as on a labeled one.

Data Distillation, section 4.2: the score threshold is the one that makes "the
average number of annotated instances per unlabeled image roughly equal to the
average number of instances per labeled image".

Count matching of keypoints: as many visible ones on a pseudo-label as on a label.

The idea of `count_matching`, one level below: of the instances that are kept, so many
keypoints stay visible as a labeled instance has. A keypoint is visible when its score
is above the threshold (`visible_keypoints`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Match:
    """A threshold and what it keeps: the candidates that score at least as much."""

    threshold: float
    kept: int


def match_count(scores: np.ndarray, target: float) -> Match:
    """Threshold that keeps a number of candidates as near to `target` as possible.

    Candidates of equal score are kept or dropped together. Where two thresholds
    are equally near, the higher one wins; where all candidates are too few, the
    lowest score is the threshold. Linear in the number of candidates.

    Args:
        scores: Scores of all candidates, (M,).
        target: The number to keep, not necessarily whole.

    Returns:
        The match; its threshold is infinite when nothing is to be kept.

    Raises:
        ValueError: If a score is NaN or the target is negative.
    """
    if not target >= 0:
        raise ValueError(f'the target must be at least 0, got {target}')
    if np.isnan(scores).any():
        raise ValueError(f'scores must be numbers, got {np.isnan(scores).sum()} NaN')
    if len(scores) == 0:
        return Match(np.inf, 0)
    rank = min(max(round(target), 1), len(scores))
    pivot = np.partition(scores, len(scores) - rank)[len(scores) - rank]
    candidates = _matches_around(scores, pivot)
    return min(candidates, key=lambda match: (abs(match.kept - target), match.kept))


def match_groups(
    scores: np.ndarray, groups: np.ndarray, targets: Sequence[float]
) -> list[Match]:
    """`match_count` for each of several groups of candidates.

    Args:
        scores: Scores of all candidates, (M,).
        groups: Group of each candidate, 0 to G - 1, (M,).
        targets: The number to keep of each group, (G,).

    Returns:
        The match of each group, (G,).

    Raises:
        ValueError: If a score is NaN or a target is negative.
    """
    parts = split_groups(groups, len(targets))
    return [
        match_count(scores[rows], target)
        for rows, target in zip(parts, targets, strict=True)
    ]


def split_groups(groups: np.ndarray, num_groups: int) -> Sequence[slice | np.ndarray]:
    """What picks the candidates of each group, in their order.

    Args:
        groups: Group of each candidate, 0 to G - 1, (M,).
        num_groups: G; with one group nothing is copied.
    """
    if num_groups == 1:
        return [slice(None)]
    # Numbers of 16 bits are sorted in linear time.
    narrow = groups.astype(np.uint16) if num_groups < 2**16 else groups
    order = np.argsort(narrow, kind='stable')
    ends = np.cumsum(np.bincount(groups, minlength=num_groups))
    return np.split(order, ends[:-1])


def limit_threshold(
    threshold: float, floor: float | None = None, cap: float | None = None
) -> float:
    """A threshold between a floor and a cap.

    A threshold that is infinite keeps nothing because there is nothing to match; it
    stays.

    Args:
        threshold: The matched one.
        floor: It is raised to this where it is lower.
        cap: It is lowered to this where it is higher.
    """
    if np.isinf(threshold):
        return threshold
    low = -np.inf if floor is None else floor
    high = np.inf if cap is None else cap
    return float(min(max(threshold, low), high))


def counting_curve(
    scores: np.ndarray, num_images: int, points: int = 101
) -> tuple[np.ndarray, np.ndarray]:
    """Instances per image over the threshold.

    Args:
        scores: Scores of all candidates, (M,).
        num_images: Number of images they were found on.
        points: Number of thresholds, evenly spaced over the scores' range.

    Returns:
        Thresholds, ascending, (points,), and the mean number of candidates per
        image that score at least as much, (points,).

    Raises:
        ValueError: If there is no image.
    """
    if num_images < 1:
        raise ValueError(f'a curve needs at least one image, got {num_images}')
    if len(scores) == 0:
        return np.zeros(0), np.zeros(0)
    thresholds = np.linspace(scores.min(), scores.max(), points)
    below = np.searchsorted(np.sort(scores), thresholds.astype(scores.dtype))
    return thresholds, (len(scores) - below) / num_images


def _matches_around(scores: np.ndarray, pivot: float) -> list[Match]:
    """The threshold just above a score, and the one at it."""
    above = scores[scores > pivot]
    lowest_above = float(above.min()) if len(above) else np.inf
    at_least = int((scores >= pivot).sum())
    return [Match(lowest_above, len(above)), Match(float(pivot), at_least)]


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
