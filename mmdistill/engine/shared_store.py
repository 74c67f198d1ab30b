"""All processes of a run on one store: one of them speaks to it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mmengine.dist import broadcast_object_list, get_rank

from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.generations import Pile
from mmdistill.labels.lock import RunLock


def tell_all(ask: Callable[[], Any]) -> Any:
    """Ask on the first rank and tell all, its error too.

    Args:
        ask: Called on the first rank alone; its answer can be pickled.

    Raises:
        UserError: If asking raised one.
    """
    heard: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            heard[0] = ask()
        except UserError as error:
            heard[1] = error
    broadcast_object_list(heard)
    if heard[1] is not None:
        raise heard[1]
    return heard[0]


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
