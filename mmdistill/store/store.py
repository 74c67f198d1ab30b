"""The label store: a folder of Parquet chunks, each written whole.

A chunk holds a fixed number of images. One that exists is done: that is the
resume, whatever the number of processes.

The README in a store's folder: how other programs read it.

Its head is for Hugging Face's `datasets`, which reads it: the rows are those of the
chunks. Without it, readers that search a folder would guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.errors import UserError
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
IMAGES_AT_ONCE = 4096
"""Images of small chunks that are read as one table."""
PATHS_SCHEMA = pa.schema([pa.field('path', pa.string())])


class LabelStore:
    """A store's folder.

    ``manifest.json`` (what made it), ``chunks/*.parquet`` (the labels),
    ``images/*.paths`` (the list of images, a file a generation, Parquet too but not by
    its name: readers of whole folders would count its rows), ``README.md`` for other
    readers and ``selection.json``.

    Args:
        root: The folder; it need not exist yet.
        kind: What it holds: labels, or detections, which have no keypoints.
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
        """What produced the store.

        Raises:
            UserError: If the folder holds no store, or its manifest is not ours.
        """
        return read_manifest(self.root / MANIFEST_FILE, self.kind)

    def claim(self, manifest: Mapping[str, Any], pile: UnlabeledImages) -> np.ndarray:
        """Begin, continue or extend the store; nobody else may write to it now.

        Images that it does not have yet join it as a new generation. What it holds
        must have been made the same way, and its images must still be there with
        the same boxes.

        Args:
            manifest: What produces it, a nested mapping of JSON values; has
                `chunk_size` and `keypoints`. What stands under `about` is for
                readers and may differ.
            pile: The images.

        Returns:
            Positions in the pile of the store's images, in its order, (I,).

        Raises:
            UserError: If the store was made otherwise, a line for each difference.
        """
        manifest = {'format': FORMAT, **manifest}
        remove_parts(self.root)
        if not self.exists:
            order = np.arange(len(pile.paths))
            self._join(manifest, [], pile, order)
            write_readme(self.root, self.kind)
            return order
        held = self.manifest
        self._restore_lists(held, pile)
        stored, generations = self.paths(), generations_in(held)
        lines = differences(identity(held), identity(manifest))
        lines += disagreements(generations, stored, pile)
        if lines:
            lines += differences(made_boxes(held), made_boxes(manifest))
            raise UserError(
                f'the {self.kind.name} {self.root} was made otherwise and is not mixed '
                f'with this run; {self._way_on(gone_images(stored, pile))}'
                + ''.join(f'\n- {line}' for line in lines)
            )
        old, new = store_order(stored, pile)
        if len(new):
            self._join(held, generations, pile, new)
        write_readme(self.root, self.kind)
        return np.concatenate([old, new])

    def digest(self) -> str:
        """Names what the complete store holds: equal manifests, equal labels."""
        manifest = self.manifest
        return json_sha256([identity(manifest), manifest['images']])

    @property
    def num_keypoints(self) -> int:
        """Keypoints of each candidate."""
        return len(self.manifest['keypoints'])

    def chunk_spans(self) -> list[ChunkSpan]:
        """The images of each chunk of the complete store."""
        manifest = self.manifest
        return chunk_spans(generations_in(manifest), manifest['chunk_size'])

    @property
    def num_chunks(self) -> int:
        """Chunks of the complete store."""
        return len(self.chunk_spans())

    def missing_chunks(self) -> list[int]:
        """Chunks that are still to be written, ascending."""
        present = {path.name for path in self.root.glob('chunks/*.parquet')}
        chunks = range(self.num_chunks)
        return [i for i in chunks if self._chunk(i).name not in present]

    @property
    def complete(self) -> bool:
        """Whether every chunk is written."""
        return self.exists and not self.missing_chunks()

    def paths(self) -> list[str]:
        """Paths of all images, in the store's order, labeled yet or not.

        Raises:
            UserError: If the list is damaged.
        """
        manifest = self.manifest
        return [
            path
            for number in range(len(generations_in(manifest)))
            for path in self._listed(manifest, number)
        ]

    def write_chunk(self, index: int, rows: Sequence[ImageRow]) -> None:
        """Write one chunk, whole or not at all.

        Args:
            index: Number of the chunk.
            rows: Its images, in the order of the store.

        Raises:
            UserError: If the disk refuses the file.
        """
        manifest = self.manifest
        place = chunk_spans(generations_in(manifest), manifest['chunk_size'])[index]
        assert len(rows) == len(place)
        table = rows_to_table(rows, len(manifest['keypoints']))
        data = parquet.encode(table, chunk_origin(manifest, place, index))
        write_bytes(self._chunk(index), data)

    def scan(
        self,
        columns: Sequence[str] | None = None,
        chunks: Sequence[int] | None = None,
    ) -> Iterator[pa.Table]:
        """All rows in their order, some chunks at a time to be lean.

        Args:
            columns: Columns to read, by default all.
            chunks: Chunks to read, by default all, which must be there.

        Raises:
            UserError: If a chunk is missing, damaged or of another store.
        """
        if chunks is None:
            self._check_complete()
            chunks = range(self.num_chunks)
        manifest = self.manifest
        all_places = chunk_spans(generations_in(manifest), manifest['chunk_size'])
        num_keypoints = len(manifest['keypoints'])
        schema = chunk_schema(num_keypoints)
        reads = [
            partial(
                _read_finite,
                self._chunk(index),
                chunk_origin(manifest, all_places[index], index),
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
        """All rows of the complete store.

        Raises:
            UserError: If a chunk is missing, damaged or of another store.
        """
        return table_to_labels(pa.concat_tables(self.scan()), self.num_keypoints)

    def _way_on(self, gone: Sequence[str]) -> str:
        """How to go on with a run that does not fit, without losing what is held."""
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
        return f'{other}. What it holds stays as it is.'

    def _check_complete(self) -> None:
        missing = self.missing_chunks()
        if missing:
            raise UserError(
                f'the {self.kind.name} {self.root} is not complete: {len(missing)} of '
                f'{self.num_chunks} chunks are missing; continue with {self.kind.tool}'
            )

    def _restore_lists(
        self, manifest: Mapping[str, Any], pile: UnlabeledImages
    ) -> None:
        """Write a list of images again that is gone, where the pile still has them."""
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
        paths = [path for path in pile.paths if path not in held]
        entry = generations[gone[0]]
        if len(gone) > 1 or json_sha256(paths[: entry.count]) != entry.paths:
            raise UserError(
                f'the list of images {self._list(gone[0])} is gone, and the images of '
                f'this run are not those that it named; name another folder in '
                f'{self.kind.option} or remove this one'
            )
        self._write_list(manifest, gone[0], paths[: entry.count], entry)

    def _listed(self, manifest: Mapping[str, Any], number: int) -> list[str]:
        """Paths of the images of one generation."""
        entry = generations_in(manifest)[number]
        file, place = self._list(number), origin(manifest, entry)
        table = parquet.read(file, place, PATHS_SCHEMA, kind=self.kind)
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
        pile: UnlabeledImages,
        numbers: np.ndarray,
    ) -> None:
        """Add images as a generation; it counts once the manifest names it."""
        added = generation_of(pile, numbers)
        paths = pile.paths
        chosen = [paths[i] for i in numbers]
        self._write_list(manifest, len(generations), chosen, added)
        images = images_entry([*generations, added])
        write_json(self.root / MANIFEST_FILE, {**manifest, 'images': images})

    def _chunk(self, index: int) -> Path:
        return self.root / 'chunks' / f'{index:06d}.parquet'

    def _list(self, generation: int) -> Path:
        path = self.root / 'images' / f'{generation:06d}.paths'
        # Stores began with another name for it.
        older = path.with_suffix('.parquet')
        return older if older.is_file() and not path.is_file() else path


def _read_finite(
    path: Path,
    origin: str,
    schema: pa.Schema,
    columns: Sequence[str] | None,
    kind: StoreKind,
    num_keypoints: int,
) -> pa.Table:
    """One chunk, whose numbers are finite."""
    wanted = columns_to_check(columns) if num_keypoints else columns
    table = parquet.read(path, origin, schema, wanted, kind)
    table = with_finite_numbers(table, num_keypoints)
    return table if columns is None else table.select(list(columns))


README_FILE = 'README.md'

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


def write_readme(root: Path, kind: StoreKind) -> None:
    """Write the README into a store's folder, unless there is one.

    Args:
        root: The folder.
        kind: What the store holds.

    Raises:
        UserError: If the disk refuses the file.
    """
    path = root / README_FILE
    if not path.exists():
        text = TEXT.format(name=kind.name, row=kind.row)
        write_bytes(path, text.encode())
