"""Progress and tables in the log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from mmengine.logging import print_log

Item = TypeVar('Item')
SECONDS_BETWEEN_LINES = 10.0


def log_progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
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


def format_table(cells: Sequence[Sequence[str]]) -> str:
    """Rows as lines, the first column to the left and the others to the right.

    Args:
        cells: The head, then the rows, all equally long.

    Returns:
        The lines, a rule below the head, without a line break at the end.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = '-' * (sum(widths) + 2 * (len(widths) - 1))
    lines = [
        '  '.join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in cells
    ]
    return '\n'.join([lines[0], rule, *lines[1:]])
