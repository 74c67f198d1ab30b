"""Batches of images within chunks."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.datasets.samplers.chunk_batch_sampler import ChunkBatchSampler
from mmdistill.store.generations import Generation, chunk_spans

ORDER = np.arange(23)
PLACES = chunk_spans([Generation(14, '', ''), Generation(9, '', '')], 5)


@pytest.mark.parametrize(
    ('chunk_size', 'num_images', 'batch_size'), [(5, 23, 2), (4, 8, 4), (3, 7, 10)]
)
def test_every_image_comes_once_in_order(chunk_size, num_images, batch_size):
    chunks = chunk_spans([Generation(num_images, '', '')], chunk_size)
    batches = ChunkBatchSampler(chunks, np.arange(num_images), batch_size)
    assert [i for batch in batches for i in batch] == list(range(num_images))


def test_images_come_in_the_order_of_the_store():
    order = np.random.default_rng(0).permutation(23)
    batches = ChunkBatchSampler(PLACES, order, 2)
    assert [i for batch in batches for i in batch] == order.tolist()


def test_no_batch_spans_two_chunks():
    batches = list(ChunkBatchSampler(PLACES, ORDER, 3))
    for batch in batches:
        assert any(p.start <= batch[0] <= batch[-1] < p.stop for p in PLACES)


def test_a_chunk_has_the_same_batches_whoever_labels_it():
    some = [PLACES[1], PLACES[4]]
    inside = {i for place in some for i in range(place.start, place.stop)}
    together = [b for b in ChunkBatchSampler(PLACES, ORDER, 3) if b[0] in inside]
    assert list(ChunkBatchSampler(some, ORDER, 3)) == together


def test_length_is_the_number_of_batches():
    batches = ChunkBatchSampler([PLACES[0], PLACES[4]], ORDER, 2)
    assert len(batches) == len(list(batches)) == 5


def test_with_lanes_each_worker_reads_whole_chunks():
    chunks = chunk_spans([Generation(40, '', '')], 10)
    batches = ChunkBatchSampler(chunks, np.arange(40), 3, lanes=2)
    for worker in range(2):
        images = [i for batch in list(batches)[worker::2] for i in batch]
        mine = [i for n in (worker, worker + 2) for i in range(10 * n, 10 * n + 10)]
        assert images == mine


@pytest.mark.parametrize('lanes', [1, 2, 3])
def test_batches_are_the_same_with_any_lanes(lanes):
    batches = ChunkBatchSampler(PLACES, ORDER, 2, lanes)
    expected = list(ChunkBatchSampler(PLACES, ORDER, 2))
    assert sorted(batches) == expected
    firsts = [place.start for place in PLACES]
    for chunk, batch in zip(batches.chunks, batches, strict=True):
        assert 0 <= batch[0] - firsts[chunk] < len(PLACES[chunk])
