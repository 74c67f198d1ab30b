"""Dropout of channels, compared with that of torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mmdistill.functional.feature_dropout import channel_factors, scale_channels


def seeded_generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('shape', [(3, 8, 4, 5), (2, 5, 1, 1)])
def test_dropout_of_all_rows_is_that_of_torch(shape):
    features = torch.randn(shape, generator=seeded_generator(1))
    torch.manual_seed(3)
    expected = F.dropout2d(features, p=0.3, training=True)
    torch.manual_seed(3)
    factors = channel_factors([True] * shape[0], shape[1], rate=0.3)
    assert torch.equal(scale_channels(features, factors), expected)


def test_other_rows_are_unchanged_bit_for_bit():
    features = torch.randn(4, 6, 2, 2)
    factors = channel_factors([False, True, False, True], 6, 0.5, seeded_generator())
    dropped = scale_channels(features, factors)
    assert torch.equal(dropped[[0, 2]], features[[0, 2]])
    assert not torch.equal(dropped[[1, 3]], features[[1, 3]])


def test_a_channel_is_kept_or_dropped_whole():
    dropped = scale_channels(
        torch.ones(2, 50, 3, 4), channel_factors([True] * 2, 50, 0.2)
    )
    assert set(dropped.unique().tolist()) == {0.0, 1.25}
    assert torch.equal(dropped.amax((2, 3)), dropped.amin((2, 3)))


def test_channels_are_dropped_at_the_rate_and_keep_their_mean():
    factors = channel_factors([True] * 200, 500, 0.2, seeded_generator())
    # 100,000 draws: four standard deviations are 0.005 and 0.0064.
    assert (factors == 0).float().mean().item() == pytest.approx(0.2, abs=0.005)
    assert factors.mean().item() == pytest.approx(1, abs=0.0064)


@pytest.mark.parametrize('kind', [torch.float64, torch.bfloat16])
def test_vectors_and_other_kinds_of_numbers_have_channels_too(kind):
    features = torch.ones(2, 3, dtype=kind)
    dropped = scale_channels(features, torch.tensor([[0.0, 2, 1], [1, 1, 1]]))
    assert dropped.dtype == kind
    assert dropped.tolist() == [[0, 2, 1], [1, 1, 1]]
