"""The phase of a draw: whether the sample that is being drawn is clean or noised.

The last iterations of a student may see its labeled images without noise. Workers read
ahead of the training, so what a sample is to be cannot follow the clock: the sampler
says it with the index, and whoever prepares the sample asks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CLEAN: ContextVar[bool] = ContextVar('clean', default=False)


def is_clean() -> bool:
    """Whether the sample that is being drawn must not be noised.

    Outside of any draw, as where a data set is only looked at, nothing is clean.
    """
    return _CLEAN.get()


@contextmanager
def drawn(clean: bool) -> Iterator[None]:
    """Draw a sample in a phase, and return to the one before.

    Args:
        clean: Whether the sample must not be noised.
    """
    token = _CLEAN.set(clean)
    try:
        yield
    finally:
        _CLEAN.reset(token)
