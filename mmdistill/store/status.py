"""Status of a store: written and missing chunks, failures, size and its run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mmdistill.errors import StoreError
from mmdistill.store.lock import run_alive
from mmdistill.store.manifest import LABELS, StoreKind
from mmdistill.store.schema import FAILED
from mmdistill.store.store import LabelStore


@dataclass(frozen=True)
class StoreStatus:
    """Status of a store, complete or not.

    Attributes:
        images: Number of images of the complete store.
        done: Number of images in chunks that are written.
        chunks: Number of chunks of the complete store.
        missing: Number of chunks that are not written yet.
        candidates: Number of candidates in the chunks that are written.
        failures: Failed images by reason.
        damaged: Sentence for each chunk that cannot be used.
        num_bytes: Size of the folder on disk.
        run: Process that writes into it now; empty if none does.
    """

    images: int
    done: int
    chunks: int
    missing: int
    candidates: int
    failures: Counter[str]
    damaged: list[str]
    num_bytes: int
    run: str


def count_failures(store: LabelStore, chunks: Sequence[int] | None = None) -> Counter:
    """Count failed images by reason.

    Args:
        store: A store.
        chunks: Chunks to read, by default all, which must exist.

    Raises:
        UserError: If a chunk is missing or damaged.
    """
    counts: Counter[str] = Counter()
    for table in store.scan(['status', 'reason'], chunks):
        counts.update(_reasons(table))
    return counts


def count_notes(store: LabelStore) -> Counter:
    """Count images that were read with a conversion, by its note.

    Args:
        store: A complete store.

    Raises:
        UserError: If a chunk is missing or damaged.
    """
    counts: Counter[str] = Counter()
    for table in store.scan(['status', 'reason']):
        read = table['reason'].filter(pc.not_equal(table['status'], FAILED))
        counts.update(note for note in read.to_pylist() if note)
    return counts


def has_candidates(store: LabelStore) -> bool:
    """Whether any written chunk holds a candidate.

    Args:
        store: A store, complete or not.

    Raises:
        UserError: If a chunk is damaged.
    """
    missing = set(store.missing_chunks())
    written = [chunk for chunk in range(store.num_chunks) if chunk not in missing]
    return any(
        pc.sum(pc.list_value_length(table['instance_scores'])).as_py()
        for table in store.scan(['instance_scores'], written)
    )


def store_status(store: LabelStore) -> StoreStatus:
    """Determine the status of a store, with a check of every chunk.

    Args:
        store: The store.

    Raises:
        UserError: If the folder holds no store.
    """
    spans = store.chunk_spans()
    missing = set(store.missing_chunks())
    failures: Counter[str] = Counter()
    damaged = []
    done = candidates = 0
    for index, span in enumerate(spans):
        if index in missing:
            continue
        try:
            (table,) = store.scan(['status', 'reason', 'instance_scores'], [index])
        except StoreError as error:
            damaged.append(str(error))
            continue
        done += len(span)
        failures.update(_reasons(table))
        candidates += pc.sum(pc.list_value_length(table['instance_scores'])).as_py()
    files = (path for path in store.root.rglob('*') if path.is_file())
    return StoreStatus(
        images=sum(len(span) for span in spans),
        done=done,
        chunks=len(spans),
        missing=len(missing),
        candidates=candidates,
        failures=failures,
        damaged=damaged,
        num_bytes=sum(path.stat().st_size for path in files),
        run=run_alive(store.root),
    )


def format_failures(failures: Counter[str], images: int) -> list[str]:
    """Format failed images for the log, a line for each reason.

    Args:
        failures: Failed images by reason.
        images: Number of all images.
    """
    return [
        f'{failures.total()} of {images} images failed '
        f'({failures.total() / max(images, 1):.2%})',
        *(f'  {count}: {reason}' for reason, count in failures.most_common()),
    ]


def format_progress(status: StoreStatus, kind: StoreKind = LABELS) -> list[str]:
    """Format a status as the lines of `tools/label.py --status`.

    Args:
        status: The status.
        kind: What the store holds.
    """
    written = status.chunks - status.missing
    return [
        f'done: {status.done} of {status.images} images, in {written} of '
        f'{status.chunks} chunks, with {status.candidates} {kind.row}',
        f'missing: {status.images - status.done} images, {status.missing} chunks',
        *(f'damaged: {sentence}' for sentence in status.damaged),
        *format_failures(status.failures, status.done),
        f'size: {status.num_bytes:,} bytes',
        f'run: {status.run or "none"}',
    ]


def format_status(store: LabelStore) -> list[str]:
    """Format the kind, folder and status of a store as lines.

    Args:
        store: The store.

    Raises:
        UserError: If the folder holds no store.
    """
    lines = format_progress(store_status(store), store.kind)
    return [f'{store.kind.name} {store.root}', *lines]


def _reasons(table: pa.Table) -> list[str]:
    """Reasons of the failed images of a table."""
    return table['reason'].filter(pc.equal(table['status'], FAILED)).to_pylist()
