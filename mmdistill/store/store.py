"""Label store: a folder of Parquet chunks, each written atomically.

A chunk holds a fixed number of images. A chunk that exists is done, so a run resumes
with the missing ones, whatever the number of processes. A README in the folder explains
how other programs read it; its head states for Hugging Face's `datasets` that the rows
are those of the chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.errors import StoreError
from mmdistill.store import parquet
from mmdistill.store.generations import (
    ChunkSpan,
    Generation,
    UnlabeledImages,
    chunk_spans,
    disagreements,
    generation_of,
    generations_in,
    gone_images,
    images_entry,
    store_order,
)
from mmdistill.store.manifest import (
    FORMAT,
    LABELS,
    StoreKind,
    chunk_origin,
    differences,
    identity,
    made_boxes,
    optional_columns,
    origin,
    read_manifest,
)
from mmdistill.store.schema import (
    ImageRow,
    StoredLabels,
    chunk_schema,
    columns_to_check,
    rows_to_table,
    table_to_labels,
    with_finite_numbers,
)
from mmdistill.utils.files import (
    is_hidden_path,
    json_sha256,
    remove_parts,
    write_bytes,
    write_json,
)

MANIFEST_FILE = 'manifest.json'
"""Name of the manifest in a store's folder."""
IMAGES_AT_ONCE = 4096
"""Number of images of small chunks that are read as one table."""
PATHS_SCHEMA = pa.schema([pa.field('path', pa.string())])
"""Columns of a list of images."""


README_FILE = 'README.md'
"""Name of the README in a store's folder."""

TEXT = """---
configs:
- config_name: default
  data_files: chunks/*.parquet
---
# A {name} of mmdistill

One row an image, in `chunks/*.parquet`; the columns are lists with one element for each
of the {row} of the image. The names of the keypoints stand in `manifest.json`, what is
kept as labels in `selection.json`. Give readers the chunks, not the whole folder. In a
session whose working folder is this one:

```python
import duckdb  # SQL
duckdb.sql("SELECT count(*) FROM 'chunks/*.parquet'")

import pandas
pandas.read_parquet('chunks')

import polars
polars.read_parquet('chunks/*.parquet')

import os
import datasets  # Hugging Face; with a path that has the folder's name, this README's
datasets.load_dataset(os.path.abspath('.'), split='train')  # head names the chunks

spark.read.parquet('chunks')  # PySpark; before 4.0 first
# spark.conf.set('spark.sql.parquet.enableNestedColumnVectorizedReader', 'false')
```

Nothing here is to be changed by hand: each file knows its bytes and its place.
"""
"""Text of the README in a store's folder."""


class LabelStore:
    """Folder of a store.

    It holds ``manifest.json`` (the provenance), ``chunks/*.parquet`` (the labels),
    ``images/*.paths`` (the list of images, a file a generation, Parquet too but not by
    its name: readers of whole folders would count its rows), ``README.md`` for other
    readers and ``selection.json``.

    Args:
        root: The folder; it need not exist yet.
        kind: Kind of the store: labels, or detections, which have no keypoints.
    """

    def __init__(self, root: str | Path, kind: StoreKind = LABELS) -> None:
        self.root = Path(root)
        self.kind = kind

    @property
    def exists(self) -> bool:
        """Whether the store was begun."""
        return (self.root / MANIFEST_FILE).is_file()

    @property
    def manifest(self) -> dict[str, Any]:
        """Provenance of the store.

        Raises:
            StoreError: If the folder holds no store, or its manifest is not valid.
        """
        return read_manifest(self.root / MANIFEST_FILE, self.kind)

    def claim(self, manifest: Mapping[str, Any], images: UnlabeledImages) -> np.ndarray:
        """Begin, continue or extend the store; no other process may write to it.

        Images that it does not have yet are added as a new generation. Its content
        must have the same provenance, and its images must still exist with the same
        boxes.

        Args:
            manifest: Provenance of the run, a nested mapping of JSON values with
                `chunk_size` and `keypoints`. Entries under `about` are for readers
                and may differ.
            images: The unlabeled images.

        Returns:
            Indices into the unlabeled images of the store's images, in its order,
            (I,).

        Raises:
            StoreError: If the store was made otherwise, with a line for each
                difference.
        """
        manifest = {'format': FORMAT, **manifest}
        remove_parts(self.root)
        if not self.exists:
            order = np.arange(len(images.paths))
            self._join(manifest, [], images, order)
            write_readme(self.root, self.kind)
            return order
        held = self.manifest
        self._restore_lists(held, images)
        stored, generations = self.paths(), generations_in(held)
        finished = self.complete and len(stored) == len(images.paths)
        lines = differences(identity(held), identity(manifest), complete=finished)
        lines += disagreements(generations, stored, images)
        if lines:
            lines += differences(made_boxes(held), made_boxes(manifest))
            raise StoreError(
                f'the {self.kind.name} {self.root} was made otherwise and is not mixed '
                f'with this run; {self._remedy(gone_images(stored, images))}'
                + ''.join(f'\n- {line}' for line in lines)
            )
        old, new = store_order(stored, images)
        if len(new):
            self._join(held, generations, images, new)
        write_readme(self.root, self.kind)
        return np.concatenate([old, new])

    def digest(self) -> str:
        """Compute the identity of the complete store: equal manifests, equal labels."""
        manifest = self.manifest
        return json_sha256([identity(manifest), manifest['images']])

    @property
    def num_keypoints(self) -> int:
        """Number of keypoints of each candidate."""
        return len(self.manifest['keypoints'])

    def chunk_spans(self) -> list[ChunkSpan]:
        """Compute the spans of the chunks of the complete store."""
        manifest = self.manifest
        return chunk_spans(generations_in(manifest), manifest['chunk_size'])

    @property
    def num_chunks(self) -> int:
        """Number of chunks of the complete store."""
        return len(self.chunk_spans())

    def missing_chunks(self) -> list[int]:
        """List the chunks that are still to be written, ascending."""
        present = {path.name for path in self.root.glob('chunks/*.parquet')}
        chunks = range(self.num_chunks)
        return [i for i in chunks if self._chunk(i).name not in present]

    @property
    def complete(self) -> bool:
        """Whether every chunk is written."""
        return self.exists and not self.missing_chunks()

    def paths(self) -> list[str]:
        """List the paths of all images, in the store's order, labeled yet or not.

        Raises:
            StoreError: If the list is damaged.
        """
        manifest = self.manifest
        return [
            path
            for number in range(len(generations_in(manifest)))
            for path in self._listed(manifest, number)
        ]

    def write_chunk(self, index: int, rows: Sequence[ImageRow]) -> None:
        """Write one chunk atomically.

        Args:
            index: Number of the chunk.
            rows: Its images, in the order of the store.

        Raises:
            StoreError: If the disk refuses the file.
        """
        manifest = self.manifest
        span = chunk_spans(generations_in(manifest), manifest['chunk_size'])[index]
        assert len(rows) == len(span)
        table = rows_to_table(
            rows, len(manifest['keypoints']), optional_columns(manifest)
        )
        data = parquet.encode(table, chunk_origin(manifest, span, index))
        write_bytes(self._chunk(index), data)

    def scan(
        self,
        columns: Sequence[str] | None = None,
        chunks: Sequence[int] | None = None,
    ) -> Iterator[pa.Table]:
        """Yield all rows in their order, some chunks at a time to save memory.

        Args:
            columns: Columns to read, by default all.
            chunks: Chunks to read, by default all, which must exist.

        Raises:
            StoreError: If a chunk is missing, damaged or of another store.
        """
        if chunks is None:
            self._check_complete()
            chunks = range(self.num_chunks)
        manifest = self.manifest
        spans = chunk_spans(generations_in(manifest), manifest['chunk_size'])
        num_keypoints = len(manifest['keypoints'])
        schema = chunk_schema(num_keypoints, optional_columns(manifest))
        reads = [
            partial(
                _read_finite,
                self._chunk(index),
                chunk_origin(manifest, spans[index], index),
                schema,
                columns,
                self.kind,
                num_keypoints=num_keypoints,
            )
            for index in chunks
        ]
        together = max(IMAGES_AT_ONCE // manifest['chunk_size'], 1)
        yield from parquet.read_ahead(reads, together)

    def read(self) -> StoredLabels:
        """Read all rows of the complete store.

        Raises:
            StoreError: If a chunk is missing, damaged or of another store.
        """
        return table_to_labels(pa.concat_tables(self.scan()), self.num_keypoints)

    def _remedy(self, gone: Sequence[str]) -> str:
        """Say how to proceed with a run that does not fit, without loss of labels."""
        other = f'name another folder in {self.kind.option}'
        if not gone:
            return f'{other} or remove this one.'
        if all(map(is_hidden_path, gone)):
            other = (
                'its hidden files are images again with hidden=True in '
                f'distill.unlabeled, or in their FolderSource; without them, {other}'
            )
        else:
            other = f'bring the images back, or {other}'
        return f'{other}. Its content is left unchanged.'

    def _check_complete(self) -> None:
        missing = self.missing_chunks()
        if missing:
            raise StoreError(
                f'the {self.kind.name} {self.root} is not complete: {len(missing)} of '
                f'{self.num_chunks} chunks are missing; continue with {self.kind.tool}'
            )

    def _restore_lists(
        self, manifest: Mapping[str, Any], images: UnlabeledImages
    ) -> None:
        """Rewrite a missing list of images, where the run still has all of them."""
        generations = generations_in(manifest)
        gone = [n for n in range(len(generations)) if not self._list(n).is_file()]
        if not gone:
            return
        held = {
            path
            for number in range(len(generations))
            if number not in gone
            for path in self._listed(manifest, number)
        }
        paths = [path for path in images.paths if path not in held]
        entry = generations[gone[0]]
        if len(gone) > 1 or json_sha256(paths[: entry.count]) != entry.paths:
            raise StoreError(
                f'the list of images {self._list(gone[0])} is gone, and the images of '
                f'this run are not those that it named; name another folder in '
                f'{self.kind.option} or remove this one'
            )
        self._write_list(manifest, gone[0], paths[: entry.count], entry)

    def _listed(self, manifest: Mapping[str, Any], number: int) -> list[str]:
        """Read the paths of the images of one generation."""
        entry = generations_in(manifest)[number]
        file, file_origin = self._list(number), origin(manifest, entry)
        table = parquet.read(file, file_origin, PATHS_SCHEMA, kind=self.kind)
        paths: list[str] = table.column('path').to_pylist()
        return paths

    def _write_list(
        self,
        manifest: Mapping[str, Any],
        number: int,
        paths: Sequence[str],
        generation: Generation,
    ) -> None:
        table = pa.table([list(paths)], schema=PATHS_SCHEMA)
        data = parquet.encode(table, origin(manifest, generation))
        write_bytes(self._list(number), data)

    def _join(
        self,
        manifest: Mapping[str, Any],
        generations: Sequence[Generation],
        images: UnlabeledImages,
        numbers: np.ndarray,
    ) -> None:
        """Add images as a generation, which is valid once it is in the manifest."""
        added = generation_of(images, numbers)
        paths = images.paths
        new_paths = [paths[i] for i in numbers]
        self._write_list(manifest, len(generations), new_paths, added)
        entry = images_entry([*generations, added])
        write_json(self.root / MANIFEST_FILE, {**manifest, 'images': entry})

    def _chunk(self, index: int) -> Path:
        return self.root / 'chunks' / f'{index:06d}.parquet'

    def _list(self, generation: int) -> Path:
        path = self.root / 'images' / f'{generation:06d}.paths'
        # Earlier stores have another name for it.
        older = path.with_suffix('.parquet')
        return older if older.is_file() and not path.is_file() else path


def write_readme(root: Path, kind: StoreKind) -> None:
    """Write the README into a store's folder, unless there is one.

    Args:
        root: The folder.
        kind: Kind of the store.

    Raises:
        StoreError: If the disk refuses the file.
    """
    path = root / README_FILE
    if not path.exists():
        text = TEXT.format(name=kind.name, row=kind.row)
        write_bytes(path, text.encode())


def _read_finite(
    path: Path,
    origin: str,
    schema: pa.Schema,
    columns: Sequence[str] | None,
    kind: StoreKind,
    num_keypoints: int,
) -> pa.Table:
    """Read a chunk and replace non-finite values."""
    wanted = columns_to_check(columns) if num_keypoints else columns
    table = parquet.read(path, origin, schema, wanted, kind)
    table = with_finite_numbers(table, num_keypoints)
    return table if columns is None else table.select(list(columns))
