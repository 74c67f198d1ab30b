"""A table as plain text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(cells: Sequence[Sequence[str]]) -> str:
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
