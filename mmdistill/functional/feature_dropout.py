"""Dropout of feature channels for some rows of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def channel_factors(
    rows: Sequence[bool],
    channels: int,
    rate: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw the factors of feature channels under dropout of whole channels.

    As `torch.nn.Dropout2d`, but for the rows of a batch that it is for: what stays is
    scaled, so that a channel's mean is unchanged (UniMatch, Yang et al., CVPR 2023,
    section 3.2, drops half of the channels).

    Args:
        rows: Whether each row of the batch is dropped from, B of them.
        channels: Channels, C.
        rate: Probability that a channel of a row is dropped, in [0, 1).
        generator: Random numbers on the CPU, so that they are those of any device;
            torch's own by default.

    Returns:
        Factors, (B, C), float32: 0 or ``1 / (1 - rate)`` in the rows, else 1.

    >>> factors = channel_factors([True, False], channels=4, rate=0.5)
    >>> factors[1].tolist(), set(factors[0].tolist()) <= {0.0, 2.0}
    ([1.0, 1.0, 1.0, 1.0], True)
    """
    dropped = torch.tensor(rows, dtype=torch.bool)
    factors = torch.empty(len(rows), channels)
    factors.bernoulli_(1 - rate, generator=generator).div_(1 - rate)
    return torch.where(dropped[:, None], factors, torch.ones(()))


def scale_channels(features: Tensor, factors: Tensor) -> Tensor:
    """Multiply the channels of feature maps, or of vectors, by factors.

    Args:
        features: Features, (B, C, ...).
        factors: Factor of each channel, (B, C).

    Returns:
        The products, as `features` in shape, kind and device.

    >>> scale_channels(torch.ones(1, 2, 1, 1), torch.tensor([[0.0, 2.0]])).flatten()
    tensor([0., 2.])
    """
    ones = (1,) * (features.dim() - 2)
    return features * factors.to(features).reshape(*factors.shape, *ones)
