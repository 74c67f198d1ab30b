"""Summary of a store's failed images by reason, and an error above a limit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmdistill.errors import CheckpointError, TooManyFailuresError
from mmdistill.store import LabelStore
from mmdistill.store.schema import NONE_FINITE
from mmdistill.store.status import (
    count_failures,
    count_notes,
    format_failures,
    has_candidates,
)
from mmdistill.utils.dist import run_on_rank_zero

MAX_FILES_NAMED = 3
"""Maximum number of files named in an error."""


def check_failures(
    store: LabelStore, max_failures: float
) -> TooManyFailuresError | None:
    """Log the failed images of a complete store by reason, and notes on others.

    Args:
        store: The store.
        max_failures: Share of failed images that is accepted.

    Returns:
        The error to end the run with if more failed; None otherwise.

    Raises:
        TooManyFailuresError: If more failed and no image could be read at all.
        UserError: If images failed because no keypoint is finite, and no other image
            has a candidate: then there is nothing to select from.
    """
    failures, notes = run_on_rank_zero(
        lambda: (count_failures(store), count_notes(store))
    )
    nothing_finite = failures[NONE_FINITE] and run_on_rank_zero(
        lambda: not has_candidates(store)
    )
    images = sum(len(span) for span in store.chunk_spans())
    if is_main_process():
        lines = format_failures(failures, images) if failures else []
        lines += [f'{count} images: {note}' for note, count in sorted(notes.items())]
        for line in lines:
            print_log(line, logger='current')
    if nothing_finite:
        raise CheckpointError(no_finite_number(store.root, failures[NONE_FINITE]))
    share = failures.total() / images
    if share <= max_failures:
        return None
    error = TooManyFailuresError(_sentence(store, failures, images, max_failures))
    if failures.total() == images:
        raise error
    return error


def _failed_chunks(store: LabelStore) -> str:
    """Name the first chunk files with failed images, and count the others."""
    failed = [i for i in range(store.num_chunks) if count_failures(store, [i])]
    names = ', '.join(
        f'chunks/{index:06d}.parquet' for index in failed[:MAX_FILES_NAMED]
    )
    more = len(failed) - MAX_FILES_NAMED
    return f'{names} and {more} others' if more > 0 else names


def no_finite_number(root: Path, images: int) -> str:
    """Write the error for a teacher that predicts only NaN or infinity.

    Args:
        root: Folder of the store.
        images: Number of images without a finite keypoint.
    """
    return (
        f'no keypoint is finite on any of {images} labeled images: the teacher gives '
        'NaN or infinity. Give other weights in distill.teacher.checkpoint or, where '
        "it labels in float16, distill.views.precision='float32', and remove "
        f'{root}, which holds no label'
    )


def _sentence(
    store: LabelStore, failures: Counter[str], images: int, max_failures: float
) -> str:
    reason, count = failures.most_common(1)[0]
    failed = failures.total()
    start = f'{failed} of {images} images of {store.root} failed ({failed / images:.2%}'
    if failed == images:
        return (
            f'{start}), {count} because: {reason}. There is nothing to select from; '
            'mend the images, remove the store and run again'
        )
    start += f'), more than max_failures {max_failures:.2%}; {count} because: {reason}'
    return (
        f'{start}. The store is complete: accept the failures with a larger '
        'distill.labeling.max_failures, or mend the images, remove the chunks that '
        f'they are in ({_failed_chunks(store)}) and run again; other labels stay'
    )
