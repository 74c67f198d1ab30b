"""The label store: a folder of Parquet chunks, each written whole.

A chunk holds a fixed number of images. One that exists is done: that is the
resume, whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmdistill.errors import UserError
from mmdistill.labels.columns import (
    ImageRow,
    StoredLabels,
    chunk_schema,
    rows_to_table,
    table_to_labels,
)
from mmdistill.labels.files import read_json, write_json, write_whole
from mmdistill.labels.manifest import differences

MANIFEST_FILE = 'manifest.json'


class LabelStore:
    """A store's folder: ``manifest.json``, ``chunks/*.parquet``, ``selection.json``.

    Args:
        root: The folder; it need not exist yet.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    @property
    def exists(self) -> bool:
        """Whether the store was begun."""
        return (self.root / MANIFEST_FILE).is_file()

    @property
    def manifest(self) -> dict[str, Any]:
        """What produced the store.

        Raises:
            UserError: If the folder holds no store.
        """
        if not self.exists:
            raise UserError(
                f'{self.root} holds no label store (no {MANIFEST_FILE}); '
                'make one with tools/label.py'
            )
        return read_json(self.root / MANIFEST_FILE, 'the manifest')

    def claim(self, manifest: Mapping[str, Any]) -> None:
        """Begin the store, or make sure that what it holds was made the same way.

        Args:
            manifest: What produces it, a nested mapping of JSON values; has
                `images.count`, `chunk_size` and `keypoints`. What stands under
                `about` is for readers and may differ.

        Raises:
            UserError: If the store was made otherwise, naming each difference.
        """
        if not self.exists:
            write_json(self.root / MANIFEST_FILE, manifest)
            return
        lines = differences(_decisive(self.manifest), _decisive(manifest))
        if lines:
            raise UserError(
                f'the label store {self.root} was made otherwise and is not mixed '
                'with this run; name another folder in distill.labels or remove '
                'this one. ' + '; '.join(lines)
            )

    @property
    def num_keypoints(self) -> int:
        """Keypoints of each candidate."""
        return len(self.manifest['keypoints'])

    @property
    def num_chunks(self) -> int:
        """Chunks of the complete store."""
        manifest = self.manifest
        return -(-manifest['images']['count'] // manifest['chunk_size'])

    def missing_chunks(self) -> list[int]:
        """Chunks that are still to be written, ascending."""
        return [i for i in range(self.num_chunks) if not self._chunk(i).is_file()]

    @property
    def complete(self) -> bool:
        """Whether every chunk is written."""
        return self.exists and not self.missing_chunks()

    def write_chunk(self, index: int, rows: Sequence[ImageRow]) -> None:
        """Write one chunk, whole or not at all.

        Args:
            index: Number of the chunk.
            rows: Its images, in the order of the image list.

        Raises:
            UserError: If the disk refuses the file.
        """
        table = rows_to_table(rows, self.num_keypoints)
        write_whole(
            self._chunk(index),
            lambda part: pq.write_table(table, part, compression='zstd'),
        )

    def read(self) -> StoredLabels:
        """All rows of the complete store.

        Raises:
            UserError: If a chunk is missing, damaged or of another store.
        """
        missing = self.missing_chunks()
        if missing:
            raise UserError(
                f'the label store {self.root} is not complete: {len(missing)} of '
                f'{self.num_chunks} chunks are missing; continue with tools/label.py'
            )
        num_keypoints = self.num_keypoints
        schema = chunk_schema(num_keypoints)
        tables = [_read_chunk(self._chunk(i), schema) for i in range(self.num_chunks)]
        table = pa.concat_tables(tables)
        expected = self.manifest['images']['count']
        if len(table) != expected:
            raise UserError(
                f'the label store {self.root} must have a row for each of its '
                f'{expected} images, got {len(table)}: a chunk is not its own'
            )
        return table_to_labels(table, num_keypoints)

    def _chunk(self, index: int) -> Path:
        return self.root / 'chunks' / f'{index:06d}.parquet'


def _read_chunk(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f'chunk {path} is damaged ({str(error).splitlines()[0]}); remove it '
            'and continue with tools/label.py'
        ) from error
    if not table.schema.equals(schema):
        raise UserError(f'chunk {path} has not the columns of a label store')
    return table


def _decisive(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key != 'about'}
