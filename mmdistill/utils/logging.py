"""Warnings, progress lines and tables for the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from mmengine.logging import print_log

Item = TypeVar('Item')
SECONDS_BETWEEN_LINES = 10.0
"""Minimum time between two lines of progress."""


def warn(sentence: str) -> None:
    """Write a warning to the log of the run.

    Args:
        sentence: The warning, without a full stop.
    """
    print_log(sentence, logger='current', level=logging.WARNING)


def log_progress(items: Iterable[Item], total: int, action: str) -> Iterator[Item]:
    """Iterate over items and log their progress at intervals.

    Args:
        items: The items.
        total: Number of items.
        action: Items and action of the line, as ``'frames of m3v1.mp4 are read'``.
    """
    last = time.monotonic()
    for done, item in enumerate(items):
        yield item
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print_log(f'{done + 1} of {total} {action}', logger='current')


def format_table(cells: Sequence[Sequence[str]]) -> str:
    """Format rows as aligned columns, the first to the left, the others to the right.

    Args:
        cells: The head, then the rows, all of equal length.

    Returns:
        The lines with a rule below the head, without a trailing line break.
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
