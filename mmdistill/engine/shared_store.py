"""All processes of a run on one store: one of them speaks to it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from mmengine.logging import print_log

from mmdistill.labels import LabelStore
from mmdistill.labels.generations import Pile
from mmdistill.labels.lock import RunLock
from mmdistill.labels.manifest import unrecorded
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
        manifest = make_manifest()
        _log_unrecorded(store, manifest)
        return store.claim(manifest, pile), store.missing_chunks()

    claimed = tell_all(claim)
    if get_rank():
        lock.acquire(get_rank())
    return claimed


def _log_unrecorded(store: LabelStore, manifest: Mapping[str, Any]) -> None:
    names = unrecorded(store.manifest, manifest) if store.exists else []
    if names:
        print_log(
            f'the {store.kind.name} {store.root} was begun before manifests had '
            f'{", ".join(names)}, which is not compared',
            logger='current',
        )
