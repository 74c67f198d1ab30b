"""One draw of a sample: its index, and the seed of all that is random about it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info


class Draw(int):
    """An index that any data set understands, with the seed of its augmentations.

    Args:
        index: Index of the sample.
        seed: Below 2**32.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> Draw:
        """Make an int with an attribute; ints are immutable."""
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int]]:
        """How it is made anew in the process of a worker."""
        return Draw, (int(self), self.seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let `random`, NumPy and torch draw from a seed; afterwards they go on as before.

    In a worker of a loader, where nobody else draws, they are left as they are: to
    put NumPy's state back takes longer than all the rest.

    Args:
        seed: Below 2**32.
    """
    in_worker = get_worker_info() is not None
    states = None if in_worker else _states()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what the transforms of the host draw from)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        if states is not None:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])


def _states() -> tuple[Any, Any, torch.Tensor]:
    legacy = np.random.get_state()  # noqa: NPY002
    return random.getstate(), legacy, torch.get_rng_state()
