"""Failed images of a finished store: told by reason, and too many of them."""

from __future__ import annotations

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from mmdistill.errors import TooManyFailuresError
from mmdistill.labels import LabelStore
from mmdistill.labels.status import count_failures, count_notes, described_failures
from mmdistill.ranks import tell_all

NAMED = 3
"""Files that the error names."""


def check_failures(
    store: LabelStore, max_failures: float
) -> TooManyFailuresError | None:
    """Log the failed images of a complete store by reason, and what was changed.

    Args:
        store: The store.
        max_failures: Share of failed images that is accepted.

    Returns:
        The error to end with where more failed; none otherwise.

    Raises:
        TooManyFailuresError: If more failed and no image could be read at all:
            then there is nothing to select from.
    """
    failures, notes = tell_all(lambda: (count_failures(store), count_notes(store)))
    images = sum(len(place) for place in store.places())
    if is_main_process():
        lines = described_failures(failures, images) if failures else []
        lines += [f'{count} images: {note}' for note, count in sorted(notes.items())]
        for line in lines:
            print_log(line, logger='current')
    share = failures.total() / images
    if share <= max_failures:
        return None
    reason, count = failures.most_common(1)[0]
    error = TooManyFailuresError(
        f'{failures.total()} of {images} images of {store.root} failed ({share:.2%}), '
        f'more than max_failures {max_failures:.2%}; {count} because: {reason}. The '
        'store is complete: accept the failures with a larger '
        'distill.labeling.max_failures, or mend the images, remove the chunks that '
        f'they are in ({_failed_chunks(store)}) and run again; other labels stay'
    )
    if failures.total() == images:
        raise error
    return error


def _failed_chunks(store: LabelStore) -> str:
    """Names of the first files with failed images, and how many others there are."""
    failed = [i for i in range(store.num_chunks) if count_failures(store, [i])]
    names = ', '.join(f'chunks/{index:06d}.parquet' for index in failed[:NAMED])
    more = len(failed) - NAMED
    return f'{names} and {more} others' if more > 0 else names
