"""Batches of a supervised training whose last draws are clean."""

from __future__ import annotations

from itertools import islice

import pytest
from mmengine.dataset import BaseDataset, DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler

from mmdistill.datasets import FinishBatchSampler, SeededDataset
from mmdistill.datasets.seeded_dataset import SeededIndex
from mmdistill.errors import UserError


class Numbers(BaseDataset):
    """Eleven samples."""

    def load_data_list(self):
        return [dict(number=number) for number in range(11)]


DATA = SeededDataset(Numbers())


def ranked(kind, rank=0, world_size=1):
    sampler = kind(DATA, seed=3)
    sampler.rank, sampler.world_size = rank, world_size
    return sampler


@pytest.mark.parametrize('drop_last', [False, True])
@pytest.mark.parametrize('by_epoch', [False, True])
def test_epochs_are_those_of_torch_and_end_clean(drop_last, by_epoch):
    plain = BatchSampler(ranked(DefaultSampler), 4, drop_last)
    after = 2 if by_epoch else 2 * len(plain)
    found = FinishBatchSampler(ranked(DefaultSampler), 4, after, by_epoch, drop_last)
    assert len(found) == len(plain)
    for epoch in range(4):
        plain.sampler.set_epoch(epoch)
        found.sampler.set_epoch(epoch)
        batches = list(found)
        assert batches == list(plain)
        draws = [draw for batch in batches for draw in batch]
        if epoch < 2:
            assert {type(draw) for draw in draws} == {int}
        else:
            assert all(isinstance(d, SeededIndex) and d.clean for d in draws)


def test_an_endless_order_is_that_of_torch():
    plain = islice(BatchSampler(ranked(InfiniteSampler), 4, False), 9)
    found = list(islice(FinishBatchSampler(ranked(InfiniteSampler), 4, 6), 9))
    assert found == list(plain)
    clean = [[isinstance(draw, SeededIndex) for draw in batch] for batch in found]
    assert clean == [[False] * 4] * 6 + [[True] * 4] * 3


def test_no_two_draws_of_any_rank_have_the_same_seed():
    seeds = []
    for rank in range(2):
        sampler = ranked(InfiniteSampler, rank, 2)
        batches = islice(FinishBatchSampler(sampler, 4, 0), 20)
        seeds += [draw.seed for batch in batches for draw in batch]
    assert len(set(seeds)) == 2 * 20 * 4


def test_a_data_set_that_would_not_draw_clean_is_refused():
    with pytest.raises(UserError, match=r"mmdistill\.SeededDataset'.* got Numbers"):
        FinishBatchSampler(DefaultSampler(Numbers(), seed=0), 4, 1)
