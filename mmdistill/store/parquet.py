"""Parquet files of a store, with their origin and a hash that detects changed bytes.

The footer's key-value metadata holds the identity of the file (`mmdistill.origin`) and
the SHA-256 of the whole file (`mmdistill.sha256`), computed with zeros instead of the
hash itself. Other readers see plain Parquet and ignore both.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmdistill.errors import StoreError
from mmdistill.store.manifest import LABELS, StoreKind

ORIGIN_KEY = b'mmdistill.origin'
HASH_KEY = b'mmdistill.sha256'
NO_HASH = b'0' * 64
COMPRESSION_LEVEL = 9
READERS = 2
"""Number of groups of files read in parallel; more need memory and are not faster."""


def encode(table: pa.Table, origin: str) -> bytes:
    """Encode a table as a Parquet file; equal tables give equal bytes.

    Args:
        table: The content.
        origin: Identity of the file, see `manifest.origin`.
    """
    sink = pa.BufferOutputStream()
    floats = [
        path for path, kind in _leaves(table.schema) if pa.types.is_floating(kind)
    ]
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression='zstd',
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=False,
        # Bytes of equal significance of neighboring numbers are similar.
        column_encoding=dict.fromkeys(floats, 'BYTE_STREAM_SPLIT') or None,
        write_statistics=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({ORIGIN_KEY: origin, HASH_KEY: NO_HASH})
    data = sink.getvalue().to_pybytes()
    offset = data.index(NO_HASH, data.rindex(HASH_KEY))
    return data[:offset] + _hash(data, offset) + data[offset + len(NO_HASH) :]


def read(
    path: Path,
    origin: str,
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    kind: StoreKind = LABELS,
) -> pa.Table:
    """Read a file of `encode` after a check of every byte.

    Args:
        path: The file.
        origin: Identity that the file must have.
        schema: Columns that it must have.
        columns: Columns to read, by default all.
        kind: What the store holds.

    Raises:
        UserError: If the file is missing, damaged, foreign or at a wrong position.
    """
    remedy = f'remove it and continue with {kind.tool}'
    try:
        data = path.read_bytes()
    except OSError as error:
        again = f'; {kind.tool} writes it again'
        missing = isinstance(error, FileNotFoundError)
        raise StoreError(
            f'{path} cannot be read: {error.strerror}{again if missing else ""}'
        ) from error
    if not _unchanged(data):
        raise StoreError(
            f'{path} is damaged (its bytes are not those that were written); {remedy}'
        )
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            if file.metadata.metadata.get(ORIGIN_KEY) != origin.encode():
                raise StoreError(
                    f'{path} is of another {kind.name}, or of another position in '
                    f'this one; {remedy}'
                )
            if not file.schema_arrow.equals(schema):
                raise StoreError(f'{path} does not have the columns of a {kind.name}')
            return file.read(columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f'{path} is damaged ({reason}); {remedy}') from error


def read_ahead(
    reads: Sequence[partial[pa.Table]], together: int = 1
) -> Iterator[pa.Table]:
    """Yield the results of reads in their order, with some read ahead.

    Small tables are joined, since threads that pass on many of them mostly wait for
    each other.

    Args:
        reads: Calls of `read`.
        together: Number of reads that become one table.
    """
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[Future[pa.Table]] = deque()
        for start in range(0, len(reads), together):
            waiting.append(pool.submit(_joined, reads[start : start + together]))
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _joined(reads: Sequence[partial[pa.Table]]) -> pa.Table:
    """Read files and concatenate their tables."""
    return pa.concat_tables([read() for read in reads]).combine_chunks()


def _unchanged(data: bytes) -> bool:
    """Whether the bytes of a file have the hash in its footer."""
    key = data.rfind(HASH_KEY)
    if key < 0:
        return False
    # The value follows its key after a field header and a length.
    offset = key + len(HASH_KEY) + 2
    return data[offset : offset + len(NO_HASH)] == _hash(data, offset)


def _hash(data: bytes, offset: int) -> bytes:
    """Hash of a file with zeros instead of the hash at an offset."""
    view = memoryview(data)
    digest = hashlib.sha256(view[:offset])
    digest.update(NO_HASH)
    digest.update(view[offset + len(NO_HASH) :])
    return digest.hexdigest().encode()


def _leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Parquet's names of the columns that hold values, with their types."""
    leaves = []
    for field in schema:
        path, kind = field.name, field.type
        while isinstance(kind, (pa.ListType, pa.FixedSizeListType)):
            path, kind = f'{path}.list.element', kind.value_type
        leaves.append((path, kind))
    return leaves
