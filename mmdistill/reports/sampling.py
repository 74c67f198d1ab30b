"""Which candidates a picture shows: the same ones on every run."""

from __future__ import annotations

import numpy as np


def choose_kept(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Kept candidates at even ranks, from the best to the one nearest the threshold.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: How many to choose.

    Returns:
        Their numbers by descending score, (min(num, kept),).
    """
    ranked = _ranked(scores)
    shown = ranked[kept[ranked]]
    ranks = np.linspace(0, len(shown) - 1, min(num, len(shown)))
    return shown[np.rint(ranks).astype(int)]


def choose_rejected(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Rejected candidates, half those of the highest scores and half of the lowest.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: How many to choose.

    Returns:
        Their numbers by descending score, (min(num, rejected),).
    """
    ranked = _ranked(scores)
    rejected = ranked[~kept[ranked]]
    if len(rejected) <= num:
        return rejected
    worst = num // 2
    nearest = rejected[: num - worst]
    return np.concatenate([nearest, rejected[len(rejected) - worst :]])


def choose_best(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Kept candidates of the highest scores.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: How many to choose.

    Returns:
        Their numbers by descending score, (min(num, kept),).
    """
    ranked = _ranked(scores)
    return ranked[kept[ranked]][:num]


def choose_borderline(
    margins: np.ndarray, kept: np.ndarray, selectable: np.ndarray, num: int
) -> np.ndarray:
    """Candidates on both sides of the threshold: the last kept, the first rejected.

    Args:
        margins: How far above the threshold each lies, (M,).
        kept: Which candidates are kept, (M,), bool.
        selectable: Which a lower threshold would keep, or it keeps, (M,), bool.
        num: How many to choose, half of them kept where there are as many.

    Returns:
        Their numbers, the kept ones first, each side by descending margin.
    """
    ranked = _ranked(margins)
    inside, outside = ranked[kept[ranked]], ranked[(selectable & ~kept)[ranked]]
    from_outside = min(num // 2, len(outside))
    last = max(len(inside) - (num - from_outside), 0)
    return np.concatenate([inside[last:], outside[:from_outside]])


def choose_disagreeing(agreement: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Kept candidates about which the views agree least.

    Args:
        agreement: Agreement of the views on each candidate, 1 being best, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: How many to choose.

    Returns:
        Their numbers by ascending agreement, (min(num, kept),).
    """
    return choose_best(-agreement, kept, num)


def choose_spread(scores: np.ndarray, kept: np.ndarray, num: int) -> np.ndarray:
    """Rejected candidates at even ranks, from the highest score to the lowest.

    Args:
        scores: Instance scores, (M,).
        kept: Which candidates are kept, (M,), bool.
        num: How many to choose.

    Returns:
        Their numbers by descending score, (min(num, rejected),).
    """
    return choose_kept(scores, ~kept, num)


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Numbers by descending score; equal scores keep their order."""
    return np.argsort(-scores, kind='stable')
