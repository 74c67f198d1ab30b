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
