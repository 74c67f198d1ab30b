"""What a worker sends is what the data set gave."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from mmdistill.engine.loops.sent_samples import SentSamples, SharedBlocks, release
from tests.helpers.devices import CUDA

SHAPES = ((3, 4, 5), (3, 0, 0), (3, 2, 7))


class Images:
    """Images of different sizes, one of them empty."""

    def __len__(self):
        return len(SHAPES)

    def __getitem__(self, number):
        size = SHAPES[number]
        generator = torch.Generator().manual_seed(number)
        pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
        return dict(inputs=pixels, data_samples=f'sample {number}')


def sent(samples):
    """Samples in a block of their own."""
    return SentSamples(samples, SharedBlocks())


BLOCKS = SharedBlocks()
"""Blocks of a worker."""


class ManyImages:
    """Images that differ, and grow now and then."""

    def __len__(self):
        return 60

    def __getitem__(self, number):
        pixels = torch.full((3, 40 + number // 20, 50), number, dtype=torch.uint8)
        return dict(inputs=pixels, data_samples=number)


def sent_again(samples):
    """Samples in a block of the worker, the number of which they have, too."""
    return SentSamples(samples, BLOCKS), len(BLOCKS._blocks)


def assert_equal(samples, expected):
    assert len(samples) == len(expected)
    for sample, wanted in zip(samples, expected, strict=True):
        assert sample.keys() == wanted.keys()
        assert torch.equal(sample['inputs'], wanted['inputs'])
        assert sample['data_samples'] == wanted['data_samples']


def test_samples_come_back():
    samples = [Images()[number] for number in range(len(SHAPES))]
    assert_equal(sent(samples).unpacked(), samples)


def test_a_batch_of_failed_images_comes_back():
    samples = [Images()[1]]
    assert_equal(sent(samples).unpacked(), samples)


def test_what_is_no_image_is_sent_as_it_is():
    samples = [
        dict(inputs=torch.ones(2), image='floats'),
        dict(image='failed'),
        dict(inputs=torch.ones(3, 2, 2, dtype=torch.uint8), image='bytes'),
        dict(inputs=[torch.ones(2, dtype=torch.uint8)], image='views'),
    ]
    floats, failed, pixels, views = sent(samples).unpacked()
    assert torch.equal(floats['inputs'], torch.ones(2))
    assert failed == dict(image='failed')
    assert pixels['inputs'].tolist() == samples[2]['inputs'].tolist()
    assert views is not samples[3]
    assert views['inputs'] == samples[3]['inputs']


def test_an_image_keeps_its_order_in_memory():
    pixels = torch.arange(2 * 4 * 3, dtype=torch.uint8).view(2, 4, 3)
    orders = [pixels, pixels.permute(2, 0, 1), pixels.transpose(0, 1), pixels[:, ::2]]
    images = sent([dict(inputs=each) for each in orders]).unpacked()
    strides = [sample['inputs'].stride() for sample in images]
    # Where there are gaps, they are closed.
    assert strides == [(12, 3, 1), (1, 12, 3), (3, 12, 1), (6, 3, 1)]
    assert_equal(
        [dict(sample, data_samples='') for sample in images],
        [dict(inputs=each, data_samples='') for each in orders],
    )


def test_a_worker_sends_one_tensor():
    """All images are views of one block of memory."""
    loader = DataLoader(Images(), len(SHAPES), num_workers=1, collate_fn=sent)
    (batch,) = loader
    samples = batch.unpacked()
    assert_equal(samples, [Images()[number] for number in range(len(SHAPES))])
    blocks = {s['inputs'].untyped_storage().data_ptr() for s in samples}
    assert len(blocks) == 1


def test_a_block_is_filled_again_once_it_is_released():
    blocks = SharedBlocks()
    first, second = blocks.take(10), blocks.take(10)
    assert first.data_ptr() != second.data_ptr()

    release(second)

    assert blocks.take(11).data_ptr() != second.data_ptr()  # which is too small
    release(first)
    assert blocks.take(9).data_ptr() == first.data_ptr()
    assert blocks.take(9).data_ptr() != first.data_ptr()


def test_a_worker_fills_few_blocks_and_none_that_is_read():
    loader = DataLoader(
        ManyImages(), 2, num_workers=2, prefetch_factor=3, collate_fn=sent_again
    )
    counts, number = [], 0
    for batch, count in loader:
        for sample in batch.unpacked():
            assert sample['data_samples'] == number
            assert (sample['inputs'] == number).all()
            number += 1
        batch.release()
        counts.append(count)
    assert number == 60
    # Three are sent ahead, one is read, one is filled; and one that is too small.
    assert max(counts) <= 6


def test_blocks_that_are_not_released_are_left_alone():
    loader = DataLoader(ManyImages(), 2, num_workers=1, collate_fn=sent_again)
    batches = [batch for batch, _ in loader]
    numbers = [int(s['inputs'][0, 0, 0]) for b in batches for s in b.unpacked()]
    assert numbers == list(range(60))


@pytest.mark.parametrize('device', [CUDA])
def test_pinned_memory_frees_the_block(device):
    loader = DataLoader(
        ManyImages(), 2, num_workers=1, pin_memory=True, collate_fn=sent_again
    )
    batches = [(batch, count) for batch, count in loader]
    numbers = [int(s['inputs'][0, 0, 0]) for b, _ in batches for s in b.unpacked()]
    assert numbers == list(range(60))
    assert max(count for _, count in batches) <= 6
