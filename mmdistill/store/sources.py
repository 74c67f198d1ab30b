"""Where images came from: a folder, a video, a domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Sources:
    """Where images, or candidates, came from.

    Attributes:
        names: The different sources, in the order of their first image.
        index: For each image or candidate the position of its source, (I,), int32.
    """

    names: tuple[str, ...]
    index: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Sources:
        return Sources(self.names, self.index[rows])


def image_sources(table: pa.Table) -> Sources:
    """Where each image of a table with `source` came from."""
    encoded = table['source'].combine_chunks().dictionary_encode()
    names = tuple(encoded.dictionary.to_pylist())
    return Sources(names, encoded.indices.to_numpy().astype(np.int32))


class SourceNumbering:
    """Numbers the sources of one table after the other, each name once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The sources by number."""
        return tuple(self._numbers)

    def number(self, sources: Sources) -> np.ndarray:
        """Numbers of the sources of a table's images, (I,), int32."""
        known = self._numbers
        numbers = [known.setdefault(name, len(known)) for name in sources.names]
        return np.array(numbers, dtype=np.int32)[sources.index]
