"""Thresholds of sources and categories, and whose candidate falls under which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mmdistill.store.sources import Sources


@dataclass(frozen=True)
class Threshold:
    """A threshold and for whom it holds.

    Attributes:
        source: The source that it is for; None for all.
        category_id: The category that it is for; None for all.
        score_thr: What a candidate must at least have of what is compared; None when
            nothing is kept.
        matched: The matched threshold before min_thr and max_thr; None when there is
            none.
    """

    source: str | None
    category_id: int | None
    score_thr: float | None
    matched: float | None = None


def threshold_index(
    thresholds: Sequence[Threshold], category_ids: np.ndarray, sources: Sources
) -> np.ndarray:
    """Under which threshold each candidate falls.

    Args:
        thresholds: The thresholds.
        category_ids: Categories of the candidates, (M,).
        sources: Sources of the candidates, (M,).

    Returns:
        Positions among the thresholds, -1 without any, (M,).
    """
    places = {(t.source, t.category_id): place for place, t in enumerate(thresholds)}
    if list(places) == [(None, None)]:
        return np.zeros(len(category_ids), dtype=np.int32)
    names = sources.names if _states(places, 0) else (None,) * len(sources.names)
    numbers, columns = [None], np.zeros(len(category_ids), dtype=np.int32)
    if _states(places, 1):
        found, columns = np.unique(category_ids, return_inverse=True)
        numbers = found.tolist()
    rows = [[places.get((name, number), -1) for number in numbers] for name in names]
    grid = np.array(rows, dtype=np.int32).reshape(len(names), len(numbers))
    return grid[sources.index, columns]


def _states(places: Iterable[tuple], position: int) -> bool:
    return any(place[position] is not None for place in places)


def format_range(thresholds: Iterable[float | None], digits: int = 4) -> str:
    """The lowest and the highest of some thresholds, or the one.

    Args:
        thresholds: The thresholds; None is one that keeps nothing.
        digits: Digits behind the point.
    """
    given = sorted({thr for thr in thresholds if thr is not None})
    shown = [f'{thr:.{digits}f}' for thr in given[:1] + given[1:][-1:]]
    return ' to '.join(shown) or 'infinity'
