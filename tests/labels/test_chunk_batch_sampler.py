"""Batches of images within chunks."""

from __future__ import annotations

import pytest

from mmdistill.labels.chunk_batch_sampler import ChunkBatchSampler


@pytest.mark.parametrize(
    ('chunk_size', 'num_images', 'batch_size'), [(5, 23, 2), (4, 8, 4), (3, 7, 10)]
)
def test_every_image_comes_once_in_order(chunk_size, num_images, batch_size):
    chunks = range(-(-num_images // chunk_size))
    batches = ChunkBatchSampler(chunks, chunk_size, num_images, batch_size)
    assert [i for batch in batches for i in batch] == list(range(num_images))


def test_no_batch_spans_two_chunks():
    batches = list(ChunkBatchSampler(range(5), 5, 23, 3))
    assert all(len({i // 5 for i in batch}) == 1 for batch in batches)


def test_a_chunk_has_the_same_batches_whoever_labels_it():
    together = [b for b in ChunkBatchSampler(range(5), 5, 23, 3) if b[0] // 5 in (1, 4)]
    assert list(ChunkBatchSampler([1, 4], 5, 23, 3)) == together


def test_length_is_the_number_of_batches():
    batches = ChunkBatchSampler([0, 4], 5, 23, 2)
    assert len(batches) == len(list(batches)) == 5
