"""Thresholds of sources and categories, and the threshold of each candidate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmdistill.store.image_sources import Sources


@dataclass(frozen=True)
class Threshold:
    """Threshold with the source and category that it applies to.

    Attributes:
        source: Source that it applies to; None for all.
        category_id: Category that it applies to; None for all.
        score_thr: Minimum compared value of a kept candidate; None when nothing is
            kept.
        matched: Matched threshold before min_thr and max_thr; None without one.

    >>> Threshold(source=None, category_id=None, score_thr=0.5)
    Threshold(source=None, category_id=None, score_thr=0.5, matched=None)
    """

    source: str | None
    category_id: int | None
    score_thr: float | None
    matched: float | None = None


def threshold_index(
    thresholds: Sequence[Threshold], category_ids: np.ndarray, sources: Sources
) -> np.ndarray:
    """Find the threshold that applies to each candidate.

    Args:
        thresholds: The thresholds.
        category_ids: Categories of the candidates, (M,).
        sources: Sources of the candidates, (M,).

    Returns:
        Indices of the thresholds, -1 without any, (M,).

    >>> thresholds = [Threshold('a', None, 0.5), Threshold('b', None, 0.6)]
    >>> sources = Sources(('b', 'a', 'c'), np.array([0, 1, 2]))
    >>> threshold_index(thresholds, np.array([1, 1, 1]), sources).tolist()
    [1, 0, -1]
    """
    indices = {(t.source, t.category_id): i for i, t in enumerate(thresholds)}
    if list(indices) == [(None, None)]:
        return np.zeros(len(category_ids), dtype=np.int32)
    names = sources.names if _states(indices, 0) else (None,) * len(sources.names)
    numbers, columns = [None], np.zeros(len(category_ids), dtype=np.int32)
    if _states(indices, 1):
        categories, columns = np.unique(category_ids, return_inverse=True)
        numbers = categories.tolist()
    rows = [[indices.get((name, number), -1) for number in numbers] for name in names]
    grid = np.array(rows, dtype=np.int32).reshape(len(names), len(numbers))
    return grid[sources.index, columns]


def format_range(thresholds: Iterable[float | None], digits: int = 4) -> str:
    """Format thresholds as a range, or a single one as a number.

    Args:
        thresholds: The thresholds; None is one that keeps nothing.
        digits: Digits behind the point.

    >>> format_range([0.5, None, 0.25]), format_range([None])
    ('0.2500 to 0.5000', 'infinity')
    """
    finite = sorted({thr for thr in thresholds if thr is not None})
    shown = [f'{thr:.{digits}f}' for thr in finite[:1] + finite[1:][-1:]]
    return ' to '.join(shown) or 'infinity'


def _states(scopes: Iterable[tuple], position: int) -> bool:
    """Whether any threshold states a source (0) or a category (1)."""
    return any(scope[position] is not None for scope in scopes)
