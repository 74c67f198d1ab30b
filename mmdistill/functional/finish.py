"""Lengths and rates of a training's last part, the finish, and of averaged weights.

A finish is added to the end of a training: labeled samples alone, at a learning rate
that falls from a share of its base to 0. Yalniz et al. ("Billion-scale semi-supervised
learning", 2019, section 3) end a training on pseudo-labels in this way, on true labels.
"""

from __future__ import annotations

import math

EMA_SHARE = 1 / 20
"""Memory of averaged weights, as a share of the training's iterations."""
EMA_MOMENTA = (1e-4, 0.1)
"""The least and the greatest momentum that fits: memories of 10,000 and 10 steps."""


def finish_iterations(iterations: int, share: float) -> int:
    """Compute the iterations of a finish: a share of the training, at least one.

    Args:
        iterations: Iterations of the training before it.
        share: The share, above 0.

    >>> finish_iterations(800, 0.2)
    160
    """
    return max(1, round(iterations * share))


def finish_epochs(epochs: int, share: float) -> int:
    """Compute the epochs of a finish: whole ones, rounded up.

    Args:
        epochs: Epochs of the training before it.
        share: The share, above 0.

    >>> finish_epochs(6, 0.2), finish_epochs(10, 0.2)
    (2, 2)
    """
    # 0.1 * 30 is 3.0000000000000004 in floating point; that is 3 epochs, not 4.
    return max(1, math.ceil(round(epochs * share, 9)))


def finish_factor(step: int, length: int, factor: float) -> float:
    """Compute the factor of the base learning rate in a step of a finish.

    It falls by half a cosine: `factor` in the first step, 0 after the last one.

    Args:
        step: Number of the step, from 0 to `length`.
        length: Steps of the finish.
        factor: The factor of the first step.

    >>> [round(finish_factor(step, 4, 0.2), 3) for step in range(5)]
    [0.2, 0.171, 0.1, 0.029, 0.0]
    """
    return factor * (1 + math.cos(math.pi * step / length)) / 2


def fitting_momentum(iterations: int) -> float:
    """Compute the momentum of averaged weights that fits the length of a training.

    An exponential moving average with momentum m gives the weights of t steps ago the
    part ``m * (1 - m)**t``: it remembers 1 / m steps. It should forget the first steps
    and average over many, so it remembers a twentieth of the training, m = 20 /
    iterations, and the first step keeps ``(1 - m)**iterations``, about 2e-9. (With the
    0.0002 of MMEngine, 85 % of the average after 800 steps are the weights of the
    first.) It is at least 0.0001, as is usual in long trainings, and at most 0.1.

    Args:
        iterations: Iterations of the training, at least 1.

    >>> fitting_momentum(800), fitting_momentum(10**6), fitting_momentum(10)
    (0.025, 0.0001, 0.1)
    """
    low, high = EMA_MOMENTA
    return min(max(1 / (EMA_SHARE * iterations), low), high)
