"""What a worker sends is what the data set gave."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader

from mmdistill.engine.loops.sent_samples import SentSamples

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


def assert_equal(samples, expected):
    assert len(samples) == len(expected)
    for sample, wanted in zip(samples, expected, strict=True):
        assert sample.keys() == wanted.keys()
        assert torch.equal(sample['inputs'], wanted['inputs'])
        assert sample['data_samples'] == wanted['data_samples']


def test_samples_come_back():
    samples = [Images()[number] for number in range(len(SHAPES))]
    assert_equal(SentSamples(samples).unpacked(), samples)


def test_a_batch_of_failed_images_comes_back():
    samples = [Images()[1]]
    assert_equal(SentSamples(samples).unpacked(), samples)


def test_what_is_no_image_is_sent_as_it_is():
    samples = [
        dict(inputs=torch.ones(2), image='floats'),
        dict(image='failed'),
        dict(inputs=torch.ones(3, 2, 2, dtype=torch.uint8), image='bytes'),
        dict(inputs=[torch.ones(2, dtype=torch.uint8)], image='views'),
    ]
    floats, failed, pixels, views = SentSamples(samples).unpacked()
    assert torch.equal(floats['inputs'], torch.ones(2))
    assert failed == dict(image='failed')
    assert pixels['inputs'].tolist() == samples[2]['inputs'].tolist()
    assert views is not samples[3]
    assert views['inputs'] == samples[3]['inputs']


def test_an_image_keeps_its_order_in_memory():
    pixels = torch.arange(2 * 4 * 3, dtype=torch.uint8).view(2, 4, 3)
    orders = [pixels, pixels.permute(2, 0, 1), pixels.transpose(0, 1), pixels[:, ::2]]
    sent = SentSamples([dict(inputs=each) for each in orders]).unpacked()
    strides = [sample['inputs'].stride() for sample in sent]
    # Where there are gaps, they are closed.
    assert strides == [(12, 3, 1), (1, 12, 3), (3, 12, 1), (6, 3, 1)]
    assert_equal(
        [dict(sample, data_samples='') for sample in sent],
        [dict(inputs=each, data_samples='') for each in orders],
    )


def test_a_worker_sends_one_tensor():
    """All images are views of one block of memory."""
    loader = DataLoader(Images(), len(SHAPES), num_workers=1, collate_fn=SentSamples)
    (sent,) = loader
    samples = sent.unpacked()
    assert_equal(samples, [Images()[number] for number in range(len(SHAPES))])
    blocks = {s['inputs'].untyped_storage().data_ptr() for s in samples}
    assert len(blocks) == 1
