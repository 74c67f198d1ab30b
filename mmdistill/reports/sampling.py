"""Deterministic choice of the candidates that a picture shows."""

from __future__ import annotations

import numpy as np


def choose_kept(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Choose kept candidates at even ranks, from the best to the lowest.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: Number of candidates to choose.

    Returns:
        Indices by descending score, (min(num, kept),).
    """
    ranked = _ranked(scores)
    candidates = ranked[kept[ranked]]
    ranks = np.linspace(0, len(candidates) - 1, min(num, len(candidates)))
    return candidates[np.rint(ranks).astype(int)]


def choose_rejected(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Choose rejected candidates, half of the highest scores and half of the lowest.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: Number of candidates to choose.

    Returns:
        Indices by descending score, (min(num, rejected),).
    """
    ranked = _ranked(scores)
    rejected = ranked[~kept[ranked]]
    if len(rejected) <= num:
        return rejected
    num_lowest = num // 2
    highest = rejected[: num - num_lowest]
    return np.concatenate([highest, rejected[len(rejected) - num_lowest :]])


def choose_best(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Choose the kept candidates of the highest scores.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: Number of candidates to choose.

    Returns:
        Indices by descending score, (min(num, kept),).
    """
    ranked = _ranked(scores)
    return ranked[kept[ranked]][:num]


def choose_borderline(
    margins: np.ndarray, kept: np.ndarray, selectable: np.ndarray, num: int
) -> np.ndarray:
    """Choose candidates on both sides of the threshold: last kept, first rejected.

    Args:
        margins: Score minus threshold of each candidate, (M,).
        kept: Which candidates are kept, (M,), bool.
        selectable: Which candidates some threshold would keep, (M,), bool.
        num: Number to choose, half of them kept if there are enough.

    Returns:
        Indices, the kept ones first, each side by descending margin.
    """
    ranked = _ranked(margins)
    above, below = ranked[kept[ranked]], ranked[(selectable & ~kept)[ranked]]
    num_below = min(num // 2, len(below))
    last = max(len(above) - (num - num_below), 0)
    return np.concatenate([above[last:], below[:num_below]])


def choose_disagreeing(agreement: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Choose the kept candidates with the lowest agreement of views.

    Args:
        agreement: Agreement of the views on each candidate, 1 being best, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: Number of candidates to choose.

    Returns:
        Indices by ascending agreement, (min(num, kept),).
    """
    return choose_best(-agreement, kept, num)


def choose_spread(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Choose rejected candidates at even ranks, from the highest score to the lowest.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: Number of candidates to choose.

    Returns:
        Indices by descending score, (min(num, rejected),).
    """
    return choose_kept(scores, ~kept, num)


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Sort indices by descending score; equal scores keep their order."""
    return np.argsort(-scores, kind='stable')
