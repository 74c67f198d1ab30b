"""Batches of more than two sources: exact, even, the same on every machine."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdistill.datasets import MixedRatioBatchSampler, PseudoLabelDataset
from tests.helpers.mixed_sources import Sampler


class Source(list):
    """A labeled data set that nothing is read from."""


class PseudoLabels(PseudoLabelDataset):
    """Pseudo-labels that nothing is read from."""

    pseudo_weight = 1

    def __init__(self, numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)


class Sources:
    """A wrapper that says which data sets it holds."""

    def __init__(self, sizes, pseudo=()):
        self.datasets = [
            (PseudoLabels if i in pseudo else Source)(range(size))
            for i, size in enumerate(sizes)
        ]

    def __len__(self):
        return sum(map(len, self.datasets))


def batches(sizes, batch_size=12, pseudo=(), ranks=(0, 1), **options):
    sampler = Sampler(Sources(sizes, pseudo), *ranks)
    return MixedRatioBatchSampler(sampler, batch_size, **options)


def sources_of(batch, sizes):
    """Number of the source of each sample."""
    return np.searchsorted(np.cumsum(sizes), batch, side='right').tolist()


SIZES = st.lists(st.integers(1, 30), min_size=2, max_size=5)


@settings(max_examples=25)
@given(SIZES, st.integers(10, 40), st.integers(1, 3), st.data())
def test_every_batch_of_every_rank_has_its_share(sizes, batch_size, world, data):
    percent = data.draw(st.integers(1, 90))
    first = data.draw(st.integers(1, len(sizes) - 1))
    slots = -(-percent * batch_size // 100)
    for rank in range(world):
        made = batches(
            sizes,
            batch_size,
            ranks=(rank, world),
            labeled_share=percent / 100,
            labeled_source=range(first),
        )
        for batch in islice(made, 3):
            assert len(batch) == batch_size
            labeled = [number < first for number in sources_of(batch, sizes)]
            assert labeled == [True] * slots + [False] * (batch_size - slots)


@settings(max_examples=25)
@given(SIZES, st.integers(0, 4), st.integers(1, 3))
def test_sources_of_a_kind_are_read_evenly(sizes, seed, world):
    turns = [
        batches(sizes, 10, ranks=(rank, world, seed), num_batches=8)
        for rank in range(world)
    ]
    seen = Counter(i for made in turns for batch in made for i in batch)
    for kind in (range(sizes[0]), range(sizes[0], sum(sizes))):
        counts = [seen[i] for i in kind]
        assert max(counts) - min(counts) <= 1


@settings(max_examples=25)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 9))
def test_a_ratio_gives_each_source_its_slots(world, size, number):
    sizes = (size, 50, 7, 20)
    ratio = (3, 2, 4, 1)
    for rank in range(world):
        made = batches(
            sizes, 20, (1, 3), (rank, world), source_ratio=ratio, num_batches=10
        )
        made.start_at(number)
        batch = next(iter(made))
        counts = Counter(sources_of(batch, sizes))
        assert [counts[i] for i in range(4)] == [6, 4, 8, 2]
        labeled = [source in (0, 2) for source in sources_of(batch, sizes)]
        assert labeled == [True] * made.num_labeled + [False] * 6


def test_pseudo_label_sets_are_detected():
    assert batches((5, 5, 5, 5), pseudo=(0, 2)).labeled_source == [1, 3]


def test_the_first_source_is_labeled_where_none_is_a_store():
    assert batches((5, 5, 5)).labeled_source == [0]


@settings(max_examples=25)
@given(SIZES, st.integers(1, 4))
def test_ranks_read_nothing_of_each_other_within_a_pass(sizes, world):
    made = [batches(sizes, 5, ranks=(r, world), num_batches=6) for r in range(world)]
    turns = [i for step in zip(*made, strict=True) for batch in step for i in batch[:3]]
    first_pass = turns[: sizes[0]]
    assert len(set(first_pass)) == len(first_pass)


@pytest.mark.parametrize('start', [0, 1, 5, 9, 10])
def test_a_start_leaves_out_what_was_seen(start):
    expected = list(batches((7, 9, 4), num_batches=10))
    made = batches((7, 9, 4), num_batches=10)
    made.start_at(start)
    assert list(made) == expected[start:]


@settings(max_examples=25)
@given(st.integers(0, 22))
def test_an_endless_start_goes_on_over_epochs(start):
    made = batches((7, 9, 4), num_batches=3)
    epochs = []
    for epoch in range(9):
        made.set_epoch(epoch)
        epochs += list(made)
    made.start_at(start, endless=True)
    assert list(islice(made, 5)) == epochs[start : start + 5]


def test_a_start_may_bring_another_seed():
    made = batches((7, 9))
    other = batches((7, 9), ranks=(0, 1, 5))
    made.start_at(0, seed=5)
    assert list(made) == list(other)


def test_the_seed_of_a_draw_follows_from_its_position():
    whole = [draw.seed for batch in batches((7, 9), num_batches=9) for draw in batch]
    made = batches((7, 9), num_batches=9)
    made.start_at(4)
    assert len(set(whole)) == len(whole)
    assert [draw.seed for batch in made for draw in batch] == whole[4 * 12 :]


def test_a_resume_that_would_differ_is_logged_once(logged):
    made = batches((7, 9))
    list(made)
    list(made)

    assert len(logged) == 1
    assert 'loop is not one of mmdistill and the data set is not in a' in logged[0]
