"""Text of a config: Python that a formatter leaves as it is, with its reasons."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 88
"""Columns of a line."""
INDENT = 4
TUPLE_ROW = 8
"""Numbers in a row of a long list."""


@dataclass(frozen=True)
class Code:
    """A value that is an expression, as ``_base_.dataset_info``.

    Attributes:
        text: The expression.
    """

    text: str


@dataclass(frozen=True)
class Reasoned:
    """A value with the reason for it, which becomes a comment above.

    Attributes:
        value: The value.
        reason: The reason.
    """

    value: Any
    reason: str


@dataclass(frozen=True)
class Statement:
    """An assignment of a config.

    Attributes:
        name: Name of the variable.
        value: Its value: plain data, with `Code` and `Reasoned` within.
        reason: The reason for it; empty without.
        gap: Whether an empty line comes before it.
    """

    name: str
    value: Any
    reason: str = ''
    gap: bool = False


def config_text(docstring: str, statements: Sequence[Statement]) -> str:
    """Format a config.

    Args:
        docstring: The docstring, its lines already broken.
        statements: The assignments.
    """
    end = '\n' if '\n' in docstring else ''
    lines = [f'"""{docstring}{end}"""', '']
    for number, statement in enumerate(statements):
        if statement.gap and number:
            lines.append('')
        lines += comment_lines(statement.reason, 0)
        start = f'{statement.name} = '
        lines.append(start + _value(statement.value, 0, len(start), 0))
    return '\n'.join([*lines, ''])


def comment_lines(reason: str, indent: int) -> list[str]:
    """Break a reason into lines of a comment.

    Args:
        reason: The reason; empty for no comment.
        indent: Columns before it.
    """
    pad = ' ' * indent
    wrapped = textwrap.wrap(
        reason, WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False
    )
    return [f'{pad}# {line}' for line in wrapped]


def _value(value: Any, indent: int, used: int, after: int) -> str:
    """A value, in one line where it fits.

    Args:
        value: The value.
        indent: Columns before the line that it begins in.
        used: Columns before the value in that line.
        after: Columns behind it, of a comma.
    """
    line = _one_line(value)
    if line is not None and used + len(line) + after <= WIDTH:
        return line
    if isinstance(value, Mapping) and value:
        return _exploded_mapping(value, indent)
    if isinstance(value, (list, tuple)) and value:
        open_, close = '[]' if isinstance(value, list) else '()'
        if len(value) > TUPLE_ROW and all(isinstance(v, (int, float)) for v in value):
            rows = [
                tuple(value[i : i + TUPLE_ROW]) for i in range(0, len(value), TUPLE_ROW)
            ]
            # Rows of numbers, not a column of them.
            value = [Code(f'*{_one_line(row)}') for row in rows]
        inner = indent + INDENT
        lines = [line for each in value for line in _item('', each, inner)]
        return '\n'.join([open_, *lines, ' ' * indent + close])
    return line or repr(value)


def _exploded_mapping(value: Mapping[Any, Any], indent: int) -> str:
    inner = indent + INDENT
    is_call = all(isinstance(key, str) and key.isidentifier() for key in value)
    open_, close = ('dict(', ')') if is_call else ('{', '}')
    lines = [
        line
        for key, each in value.items()
        for line in _item(f'{key}=' if is_call else f'{key!r}: ', each, inner)
    ]
    return '\n'.join([open_, *lines, ' ' * indent + close])


def _item(start: str, value: Any, indent: int) -> list[str]:
    """Lines of an item of a dict or list, its reason above it."""
    comment = []
    if isinstance(value, Reasoned):
        comment = comment_lines(value.reason, indent)
        value = value.value
    first = ' ' * indent + start
    return [*comment, f'{first}{_value(value, indent, len(first), 1)},']


def _one_line(value: Any) -> str | None:
    """A value in one line; None where a reason within needs a line of its own."""
    if isinstance(value, Reasoned):
        return None
    if isinstance(value, Code):
        return value.text
    if isinstance(value, Mapping):
        is_call = all(isinstance(key, str) and key.isidentifier() for key in value)
        items = [(key, _one_line(each)) for key, each in value.items()]
        if any(each is None for _, each in items):
            return None
        if is_call:
            return f'dict({", ".join(f"{key}={each}" for key, each in items)})'
        return f'{{{", ".join(f"{key!r}: {each}" for key, each in items)}}}'
    if isinstance(value, (list, tuple)):
        parts = [_one_line(each) for each in value]
        if any(part is None for part in parts):
            return None
        text = ', '.join(part for part in parts if part is not None)
        if isinstance(value, list):
            return f'[{text}]'
        return f'({text},)' if len(parts) == 1 else f'({text})'
    return repr(value)
