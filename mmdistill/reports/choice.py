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


def _ranked(scores: np.ndarray) -> np.ndarray:
    """Numbers by descending score; equal scores keep their order."""
    return np.argsort(-scores, kind='stable')
