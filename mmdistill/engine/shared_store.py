"""All processes of a run on one store: one of them speaks to it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mmengine.dist import get_rank

from mmdistill.labels import LabelStore
from mmdistill.labels.generations import Pile
from mmdistill.labels.lock import RunLock
from mmdistill.ranks import tell_all


def claim_together(
    store: LabelStore,
    lock: RunLock,
    make_manifest: Callable[[], Mapping[str, Any]],
    pile: Pile,
) -> tuple[np.ndarray, list[int]]:
    """Lock a store for this run, then begin, continue or extend it.

    Args:
        store: The store.
        lock: Its lock; every rank takes it.
        make_manifest: What produces the store; called on the first rank.
        pile: The images.

    Returns:
        For each image of the store its position in the pile, (I,), and the chunks
        that are missing.

    Raises:
        UserError: On every rank, if another run has the store or it was made
            otherwise.
    """

    def claim() -> tuple[np.ndarray, list[int]]:
        lock.acquire()
        return store.claim(make_manifest(), pile), store.missing_chunks()

    claimed = tell_all(claim)
    if get_rank():
        lock.acquire(get_rank())
    return claimed
