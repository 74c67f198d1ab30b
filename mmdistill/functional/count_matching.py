"""Count matching of instances and of keypoints between unlabeled and labeled sets.

Data Distillation, section 4.2: the score threshold is the one that makes "the
average number of annotated instances per unlabeled image roughly equal to the
average number of instances per labeled image".

The same idea sets keypoint thresholds one level below: of the instances that are kept,
as many keypoints stay visible as a labeled instance has on average. A keypoint is
visible when its score is above the threshold (`visible_keypoints`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Match:
    """Threshold with the number of candidates that score at least as much.

    Attributes:
        threshold: Minimum score of a kept candidate; infinite when nothing is kept.
        kept: Number of candidates kept.

    >>> Match(threshold=0.5, kept=2)
    Match(threshold=0.5, kept=2)
    """

    threshold: float
    kept: int


def match_count(scores: np.ndarray, target: float) -> Match:
    """Find the threshold that keeps as near to `target` candidates as possible.

    Candidates of equal score are kept or dropped together. Where two thresholds
    are equally near, the higher one wins; where all candidates are too few, the
    lowest score is the threshold (Data Distillation, section 4.2). Linear in the
    number of candidates.

    Args:
        scores: Scores of all candidates, (M,).
        target: The number to keep, not necessarily whole.

    Returns:
        The match; its threshold is infinite when nothing is to be kept.

    Raises:
        ValueError: If a score is NaN or the target is negative.

    >>> match_count(np.array([0.9, 0.75, 0.5, 0.25]), target=2.2)
    Match(threshold=0.75, kept=2)
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


def next_best(
    values: np.ndarray, groups: np.ndarray, kept: np.ndarray, num_groups: int
) -> np.ndarray:
    """Mark the best candidates that are not kept, as many of each group as are kept.

    They are those that a threshold a little lower would keep too: the least certain
    rejections. Candidates of equal value are marked together.

    Args:
        values: Compared values of all candidates, (M,).
        groups: Group of each candidate, 0 to G - 1, (M,).
        kept: Mask of the kept candidates, (M,), bool.
        num_groups: Number of groups, G.

    Returns:
        Mask, (M,), bool.

    >>> values, kept = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 0, 0], bool)
    >>> next_best(values, np.zeros(4, int), kept, num_groups=1).tolist()
    [False, True, False, False]
    """
    marked = np.zeros(len(values), dtype=bool)
    for group in range(num_groups):
        rejected = np.flatnonzero((groups == group) & ~kept)
        count = int((kept & (groups == group)).sum())
        if not count or not len(rejected):
            continue
        own = values[rejected]
        rank = min(count, len(own))
        limit = np.partition(own, len(own) - rank)[len(own) - rank]
        marked[rejected] = own >= limit
    return marked


def match_groups(
    scores: np.ndarray, groups: np.ndarray, targets: Sequence[float]
) -> list[Match]:
    """Apply `match_count` to each of several groups of candidates.

    Args:
        scores: Scores of all candidates, (M,).
        groups: Group of each candidate, 0 to G - 1, (M,).
        targets: The number to keep of each group, (G,).

    Returns:
        The match of each group, (G,).

    Raises:
        ValueError: If a score is NaN or a target is negative.

    >>> scores, groups = np.array([0.9, 0.75, 0.5, 0.25]), np.array([0, 1, 0, 1])
    >>> match_groups(scores, groups, targets=[1, 2])
    [Match(threshold=0.9, kept=1), Match(threshold=0.25, kept=2)]
    """
    group_rows = split_groups(groups, len(targets))
    return [
        match_count(scores[rows], target)
        for rows, target in zip(group_rows, targets, strict=True)
    ]


def split_groups(groups: np.ndarray, num_groups: int) -> Sequence[slice | np.ndarray]:
    """Compute the rows of each group's candidates, in their order.

    Args:
        groups: Group of each candidate, 0 to G - 1, (M,).
        num_groups: G; with one group nothing is copied.

    Returns:
        An index of the rows of each group, (G,).

    >>> [rows.tolist() for rows in split_groups(np.array([1, 0, 1]), 2)]
    [[1], [0, 2]]
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
    """Limit a threshold to the range from a floor to a cap.

    An infinite threshold keeps nothing because there is nothing to match; it is
    returned unchanged.

    Args:
        threshold: The matched threshold.
        floor: Lower limit.
        cap: Upper limit.

    >>> limit_threshold(0.3, floor=0.5), limit_threshold(0.7, floor=0.5, cap=0.6)
    (0.5, 0.6)
    """
    if np.isinf(threshold):
        return threshold
    low = -np.inf if floor is None else floor
    high = np.inf if cap is None else cap
    return float(min(max(threshold, low), high))


def counting_curve(
    scores: np.ndarray, num_images: int, points: int = 101
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean number of candidates per image by threshold.

    Args:
        scores: Scores of all candidates, (M,).
        num_images: Number of images that they were predicted on.
        points: Number of thresholds, evenly spaced over the scores' range.

    Returns:
        Thresholds, ascending, (points,), and the mean number of candidates per
        image that score at least as much, (points,).

    Raises:
        ValueError: If there is no image.

    >>> thresholds, means = counting_curve(np.array([0.0, 0.5, 1.0]), 2, points=3)
    >>> thresholds.tolist(), means.tolist()
    ([0.0, 0.5, 1.0], [1.5, 1.0, 0.5])
    """
    if num_images < 1:
        raise ValueError(f'a curve needs at least one image, got {num_images}')
    if len(scores) == 0:
        return np.zeros(0), np.zeros(0)
    thresholds = np.linspace(scores.min(), scores.max(), points)
    below = np.searchsorted(np.sort(scores), thresholds.astype(scores.dtype))
    return thresholds, (len(scores) - below) / num_images


def _matches_around(scores: np.ndarray, pivot: float) -> list[Match]:
    """Matches at the next higher score and at the score itself."""
    above = scores[scores > pivot]
    lowest_above = float(above.min()) if len(above) else np.inf
    at_least = int((scores >= pivot).sum())
    return [Match(lowest_above, len(above)), Match(float(pivot), at_least)]


def match_keypoints(keypoint_scores: np.ndarray, mean: float) -> float:
    """Find the threshold above which instances show `mean` keypoints on average.

    As in `match_count`, keypoints of equal score are kept or dropped together, and of
    two thresholds that are equally near the higher one wins.

    Args:
        keypoint_scores: Scores of the keypoints of the kept instances, (N, K).
        mean: Visible keypoints per instance to match, 0 to K.

    Returns:
        The threshold, infinite when no keypoint is to be visible.

    Raises:
        ValueError: If a score is NaN or the mean is negative.

    >>> scores = np.array([[0.9, 0.2], [0.8, 0.7]], np.float32)
    >>> threshold = match_keypoints(scores, mean=1.5)
    >>> visible_keypoints(scores, threshold).tolist()
    [[True, False], [True, True]]
    """
    return _just_below(keypoint_scores.reshape(-1), mean * len(keypoint_scores))


def match_keypoint_types(keypoint_scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Find the threshold of each keypoint type at which its visible share matches.

    Args:
        keypoint_scores: Scores of the keypoints of the kept instances, (N, K).
        shares: Share of instances that have each keypoint visible, 0 to 1, (K,).

    Returns:
        The thresholds, (K,), infinite where no keypoint is to be visible.

    Raises:
        ValueError: If a score is NaN or a share is negative.

    >>> scores = np.array([[0.9, 0.2], [0.8, 0.7]], np.float32)
    >>> thresholds = match_keypoint_types(scores, np.array([1.0, 0.5]))
    >>> visible_keypoints(scores, thresholds).tolist()
    [[True, False], [True, True]]
    """
    columns = zip(keypoint_scores.T, shares, strict=True)
    return np.array(
        [_just_below(column, share * len(column)) for column, share in columns]
    )


def visible_keypoints(
    keypoint_scores: np.ndarray, thresholds: float | np.ndarray
) -> np.ndarray:
    """Mask of the keypoints that score above their threshold.

    Args:
        keypoint_scores: Scores, (..., K).
        thresholds: One for all types, or one each, (K,); compared in float32.

    Returns:
        Mask, (..., K), bool.

    >>> visible_keypoints(np.array([0.25, 0.5]), 0.25).tolist()
    [False, True]
    """
    with np.errstate(over='ignore'):
        limits = np.asarray(thresholds).astype(np.float32)
    return keypoint_scores > limits


def label_keypoints(
    keypoint_scores: np.ndarray, thresholds: float | np.ndarray
) -> np.ndarray:
    """Mask of the keypoints that are labels: visible, and with a known position.

    A score of 0 means that nothing is known: the model's output was flat, or not
    finite. Such a keypoint is never a label, not even at a threshold below 0.

    Args:
        keypoint_scores: Scores, (..., K).
        thresholds: One for all types, or one each, (K,); compared in float32.

    Returns:
        Mask, (..., K), bool.

    >>> label_keypoints(np.array([0.0, 0.25, -0.5]), -1).tolist()
    [False, True, True]
    """
    return visible_keypoints(keypoint_scores, thresholds) & (keypoint_scores != 0)


def _just_below(scores: np.ndarray, target: float) -> float:
    """Turn an inclusive threshold into an exclusive one, in float32."""
    matched = np.float32(match_count(scores, target).threshold)
    return (
        float(np.nextafter(matched, np.float32(-np.inf)))
        if matched < np.inf
        else np.inf
    )
