"""What a worker sends is what the data set gave."""

from __future__ import annotations

import pickle
import weakref
from multiprocessing.reduction import ForkingPickler

import pytest
import torch
from torch.utils.data import DataLoader

from mmdistill.engine.loops import sent_samples
from mmdistill.engine.loops.sent_samples import (
    ReadInTurn,
    SentSamples,
    SharedBlocks,
    opened_blocks,
)
from tests.helpers.devices import CUDA

pytestmark = pytest.mark.usefixtures('closed')

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


@pytest.fixture
def closed():
    """Nothing that a test opened is left open."""
    with opened_blocks():
        yield


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
    return SentSamples(samples, BLOCKS), len(BLOCKS)


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


def address(block):
    return block.memory.data_ptr()


def test_a_block_is_filled_again_once_it_is_released():
    blocks = SharedBlocks()
    first, second = blocks.take(), blocks.take()
    assert address(first) != address(second)

    second.in_use = False

    assert blocks.take() is second
    assert blocks.take() not in (first, second)
    first.in_use = second.in_use = False
    assert {blocks.take(), blocks.take()} == {first, second}


def test_the_largest_of_free_blocks_is_taken_and_a_new_one_is_like_the_last_batch():
    blocks = SharedBlocks()
    blocks.expect(100)
    first = blocks.take()
    blocks.expect(50)
    second = blocks.take()
    assert (first.room, second.room) == (100, 50)
    first.in_use = second.in_use = False
    assert blocks.take() is first


def test_a_block_without_room_is_replaced_by_a_larger_one_with_its_bytes():
    blocks = SharedBlocks()
    blocks.expect(8)
    block = blocks.take()
    block.memory[:8] = torch.arange(8)
    assert blocks.with_room(block, used=7, size=8) is block

    larger = blocks.with_room(block, used=8, size=9)

    assert larger.room == 10
    assert larger.memory[:8].tolist() == [*range(8)]
    assert larger.in_use
    assert len(blocks) == 1
    # One that is free and large enough is taken before another is made.
    larger.in_use = False
    blocks.expect(3)
    small = blocks._make()
    small.in_use = True
    assert blocks.with_room(small, used=1, size=9) is larger
    assert not small.in_use


def test_one_large_batch_leaves_the_other_blocks_as_they_are():
    """The outlier's block is used again, and none is made as large."""
    blocks = SharedBlocks()

    def sent_batch(size):
        image = torch.zeros(size, dtype=torch.uint8)
        return SentSamples([dict(inputs=image)], blocks)

    for batch in [sent_batch(10), sent_batch(10)]:
        batch.release()
    sent_batch(1000).release()
    waiting = [sent_batch(10) for _ in range(4)]

    assert len(waiting) == len(blocks)
    assert sorted(block.room for block in blocks._blocks) == [10, 10, 10, 1000]


def test_an_image_is_let_go_before_the_next_is_read():
    alive = weakref.WeakSet()

    class Images:
        def __getitem__(self, number):
            assert not alive
            image = torch.zeros(3, 4, 4, dtype=torch.uint8)
            alive.add(image)
            return dict(inputs=image)

    samples = ReadInTurn(Images()).__getitems__([0, 1, 2])
    assert len(SentSamples(samples, SharedBlocks()).unpacked()) == 3


def test_pinned_images_outlive_the_next_use_of_their_block(monkeypatch):
    # Pinned memory needs a GPU; it is a copy.
    monkeypatch.setattr(torch.Tensor, 'pin_memory', torch.Tensor.clone)
    blocks = SharedBlocks()

    def sent_batch(value):
        image = torch.full((3, 4, 4), value, dtype=torch.uint8)
        return SentSamples([dict(inputs=image)], blocks)

    first = sent_batch(1).pin_memory()
    second = sent_batch(2)  # in the block of the first, which was given back
    assert [int(s['inputs'].max()) for s in first.unpacked()] == [1]
    first.release()
    sent_batch(3)

    second.pin_memory()

    assert [int(s['inputs'].max()) for s in second.unpacked()] == [2]
    assert [int(s['inputs'].max()) for s in first.unpacked()] == [1]


def test_blocks_stay_open_after_an_error_until_the_next_use():
    block = SharedBlocks().take()

    def fail():
        with opened_blocks():
            pickle.loads(ForkingPickler.dumps(block))
            raise ValueError('a worker failed')

    with pytest.raises(ValueError, match='a worker'):
        fail()
    # A thread may still take a batch that was sent by the block's name.
    assert pickle.loads(ForkingPickler.dumps(block)) is not block
    with opened_blocks():
        assert not sent_samples._OPENED


def test_a_block_is_sent_once_and_by_its_name_after_that():
    blocks = SharedBlocks()
    blocks.expect(8)
    block = blocks.take()
    first = pickle.loads(ForkingPickler.dumps(block))
    assert first is not block
    block.memory[:8] = torch.arange(8)
    assert first.memory[:8].tolist() == [*range(8)]

    message = ForkingPickler.dumps(block)

    assert pickle.loads(message) is first
    assert pickle.loads(message) is first  # memory itself could be taken once


def test_the_samples_of_a_batch_are_read_one_by_one():
    read = []

    class Images(ManyImages):
        def __getitem__(self, number):
            read.append(number)
            return super().__getitem__(number)

    samples = ReadInTurn(Images()).__getitems__([3, 5, 4])
    assert read == []
    assert next(samples)['data_samples'] == 3
    assert read == [3]
    assert [sample['data_samples'] for sample in samples] == [5, 4]
    assert ReadInTurn(Images())[7]['data_samples'] == 7


def test_a_worker_fills_few_blocks_and_none_that_is_read():
    loader = DataLoader(
        ReadInTurn(ManyImages()),
        2,
        num_workers=2,
        prefetch_factor=3,
        collate_fn=sent_again,
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
    loader = DataLoader(
        ReadInTurn(ManyImages()), 2, num_workers=1, collate_fn=sent_again
    )
    batches = [batch for batch, _ in loader]
    numbers = [int(s['inputs'][0, 0, 0]) for b in batches for s in b.unpacked()]
    assert numbers == list(range(60))


def test_a_block_is_opened_once_and_closed_at_the_end():
    loader = DataLoader(
        ReadInTurn(ManyImages()), 2, num_workers=2, collate_fn=sent_again
    )
    opened, addresses = [], set()
    with opened_blocks():
        for batch, count in loader:
            for sample in batch.unpacked():
                addresses.add(sample['inputs'].untyped_storage().data_ptr())
            batch.release()
            opened.append((len(sent_samples._OPENED), count))
    assert len(addresses) < len(opened) == 30
    # Those that were too small are closed but for the last ones of each worker.
    last, of_one_worker = opened[-1]
    assert last <= 2 * of_one_worker
    assert not sent_samples._OPENED


@pytest.mark.parametrize('device', [CUDA])
def test_pinned_memory_frees_the_block(device):
    loader = DataLoader(
        ManyImages(), 2, num_workers=1, pin_memory=True, collate_fn=sent_again
    )
    batches = [(batch, count) for batch, count in loader]
    numbers = [int(s['inputs'][0, 0, 0]) for b, _ in batches for s in b.unpacked()]
    assert numbers == list(range(60))
    assert max(count for _, count in batches) <= 6
