"""Sources of images: folders, videos or domains.

A module of its own: the labels of a store, their scores and the thresholds of a
selection all go by source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Sources:
    """Source of each image or candidate.

    Attributes:
        names: Distinct sources, in the order of their first image.
        index: Index of the source of each image or candidate, (I,), int32.
    """

    names: tuple[str, ...]
    index: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Sources:
        return Sources(self.names, self.index[rows])


def image_sources(table: pa.Table) -> Sources:
    """Read the source of each image of a table.

    Args:
        table: A table with a column `source`, a row an image, I rows.
    """
    encoded = table['source'].combine_chunks().dictionary_encode()
    names = tuple(encoded.dictionary.to_pylist())
    return Sources(names, encoded.indices.to_numpy().astype(np.int32))


class SourceNumbering:
    """Numbering of the sources of successive tables, with each name once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Sources by number."""
        return tuple(self._numbers)

    def number(self, sources: Sources) -> np.ndarray:
        """Number the sources of a table's images.

        Args:
            sources: The sources; names that are new get the next numbers.

        Returns:
            The number of each image's source, (I,), int32.
        """
        known = self._numbers
        numbers = [known.setdefault(name, len(known)) for name in sources.names]
        return np.array(numbers, dtype=np.int32)[sources.index]
