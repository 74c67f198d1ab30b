"""One process speaks to the store, all hear."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch.distributed

from mmdistill.engine.loops.store_loop import claim_on_all_ranks
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.lock import RunLock
from mmdistill.utils.dist import run_on_rank_zero
from tests.helpers.named_images import NamedImages

FORK = multiprocessing.get_context('fork')
MANIFEST = {'about': {'img_root': ''}, 'chunk_size': 2, 'keypoints': ['nose']}


def refuse():
    raise UserError('a sentence')


def claim_as(rank: int, root: Path) -> None:
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{root}/meeting', rank=rank, world_size=2
    )
    with pytest.raises(UserError, match=r'^a sentence$'):
        run_on_rank_zero(refuse)
    store = LabelStore(root / 'store')
    lock = RunLock(store.root)
    made = []

    def manifest() -> dict:
        made.append(rank)
        return MANIFEST

    order, missing = claim_on_all_ranks(store, lock, manifest, NamedImages('abc'))
    assert (order.tolist(), missing) == ([0, 1, 2], [0, 1])
    assert made == [0] * (rank == 0)
    torch.distributed.barrier()
    lock.release()


def test_two_ranks_hear_the_same(tmp_path):
    ranks = [FORK.Process(target=claim_as, args=(rank, tmp_path)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [process.exitcode for process in ranks] == [0, 0]
