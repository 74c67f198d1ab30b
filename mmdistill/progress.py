"""Lines in the log that tell how far long work is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from mmengine.logging import print_log

Item = TypeVar('Item')
SECONDS_BETWEEN_LINES = 10.0


def told(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Go through items and log now and then how many are done.

    Args:
        items: The items.
        total: How many they are.
        what: What is done with them, as ``'frames of m3v1.mp4 are looked at'``.
    """
    last = time.monotonic()
    for done, item in enumerate(items):
        yield item
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print_log(f'{done + 1} of {total} {what}', logger='current')
