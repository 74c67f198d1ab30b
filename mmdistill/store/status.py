"""How far a label store is: done, missing, failed, size, and who works on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mmdistill.errors import UserError
from mmdistill.store.lock import run_alive
from mmdistill.store.manifest import LABELS, StoreKind
from mmdistill.store.schema import FAILED
from mmdistill.store.store import LabelStore


@dataclass(frozen=True)
class StoreStatus:
    """How far a store is.

    Attributes:
        images: Images of the complete store.
        done: Images in chunks that are written.
        chunks: Chunks of the complete store.
        missing: Chunks that are not written yet.
        candidates: Candidates in the chunks that are written.
        failures: Failed images by reason.
        damaged: A sentence for each chunk that cannot be used.
        num_bytes: Size of the folder on disk.
        run: The process that labels into it now; empty if none does.
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
    """Failed images by reason.

    Args:
        store: A store.
        chunks: Chunks to look at, by default all, which must be there.

    Raises:
        UserError: If a chunk is missing or damaged.
    """
    found: Counter[str] = Counter()
    for table in store.scan(['status', 'reason'], chunks):
        found.update(_reasons(table))
    return found


def count_notes(store: LabelStore) -> Counter:
    """Images that were read, but not simply as they are, by what was done.

    Args:
        store: A complete store.

    Raises:
        UserError: If a chunk is missing or damaged.
    """
    found: Counter[str] = Counter()
    for table in store.scan(['status', 'reason']):
        read = table['reason'].filter(pc.not_equal(table['status'], FAILED))
        found.update(note for note in read.to_pylist() if note)
    return found


def has_candidates(store: LabelStore) -> bool:
    """Whether any chunk that is written holds a candidate.

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
    """Look at a store, complete or not; every chunk is checked.

    Args:
        store: The store.

    Raises:
        UserError: If the folder holds no store.
    """
    places = store.chunk_spans()
    missing = set(store.missing_chunks())
    failures: Counter[str] = Counter()
    damaged = []
    done = candidates = 0
    for index, place in enumerate(places):
        if index in missing:
            continue
        try:
            (table,) = store.scan(['status', 'reason', 'instance_scores'], [index])
        except UserError as error:
            damaged.append(str(error))
            continue
        done += len(place)
        failures.update(_reasons(table))
        candidates += pc.sum(pc.list_value_length(table['instance_scores'])).as_py()
    files = (path for path in store.root.rglob('*') if path.is_file())
    return StoreStatus(
        images=sum(len(place) for place in places),
        done=done,
        chunks=len(places),
        missing=len(missing),
        candidates=candidates,
        failures=failures,
        damaged=damaged,
        num_bytes=sum(path.stat().st_size for path in files),
        run=run_alive(store.root),
    )


def format_failures(failures: Counter[str], images: int) -> list[str]:
    """Failed images in the words of the log, a line for each reason.

    Args:
        failures: Failed images by reason.
        images: All images.
    """
    return [
        f'{failures.total()} of {images} images failed '
        f'({failures.total() / max(images, 1):.2%})',
        *(f'  {count}: {reason}' for reason, count in failures.most_common()),
    ]


def format_progress(status: StoreStatus, kind: StoreKind = LABELS) -> list[str]:
    """A store's status in the words of `tools/label.py --status`, line by line.

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
    """What a store is and how far, line by line.

    Args:
        store: The store.

    Raises:
        UserError: If the folder holds no store.
    """
    lines = format_progress(store_status(store), store.kind)
    return [f'{store.kind.name} {store.root}', *lines]


def _reasons(table: pa.Table) -> list[str]:
    return table['reason'].filter(pc.equal(table['status'], FAILED)).to_pylist()
