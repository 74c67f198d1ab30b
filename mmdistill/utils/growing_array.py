"""Arrays that grow at their end without a second copy in memory.

A module of its own: scores, training labels and a report's statistics are collected in
them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike


class GrowingArray:
    """Array to which blocks of rows are appended.

    The allocator moves a large block to another address without copying it, and
    rows that are not written yet take no memory.

    Args:
        shape: Shape of a row.
        dtype: Type of its values.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._rows = np.empty((0, *shape), dtype)
        self._length = 0

    def append(self, rows: np.ndarray) -> None:
        """Append rows.

        Args:
            rows: The rows, (n, *shape).
        """
        end = self._length + len(rows)
        if end > len(self._rows):
            self._resize(max(end, 2 * len(self._rows), 1024))
        self._rows[self._length : end] = rows
        self._length = end

    def finish(self) -> np.ndarray:
        """Return all rows, (n, *shape); no more can be appended."""
        self._resize(self._length)
        return self._rows

    def _resize(self, length: int) -> None:
        self._rows.resize((length, *self._rows.shape[1:]), refcheck=False)
