"""Configs as Python text that reads back equal, dicts in their own order.

MMEngine lays out a config by yapf, seconds to a minute for each of the four texts of
a run, and sorts keys as text, which puts keypoint 10 before keypoint 2.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from mmengine.config import Config

WIDTH = 88
"""Columns of a line, unless one value needs more."""
INDENT = 4


class TextConfig(Config):
    """A config whose text is written fast, and keeps the order of every dict.

    Everything of MMEngine's that writes a config (the log, the work folder,
    checkpoints, visualizers) asks the config itself for its text.
    """

    @classmethod
    def of(cls, config: Config) -> TextConfig:
        """A config as one of this class; both are views of the same settings.

        Args:
            config: Any config.
        """
        if isinstance(config, cls):
            return config
        made = cls.__new__(cls)
        made.__setstate__(config.__getstate__())
        return made

    @property
    def pretty_text(self) -> str:
        """Python code that `Config.fromstring` and `Config.fromfile` read back."""
        return config_text(self.to_dict())


def config_text(settings: Mapping[str, Any]) -> str:
    """Python code that states settings, one statement for each.

    Args:
        settings: The settings. What is no literal of Python becomes one: arrays and
            numbers of NumPy their values, classes and functions the paths that
            MMEngine imports them by, anything else its text.

    >>> print(config_text({'size': (192, 256), 'pairs': {1: [2], 10: [3]}}), end='')
    size = (192, 256)
    pairs = {1: [2], 10: [3]}
    """
    statements = []
    for key, value in settings.items():
        name = key if _is_name(key) else f'locals()[{key!r}]'
        statements.append(_laid_out(f'{name} = ', value, 0, '') + '\n')
    return ''.join(statements)


def _laid_out(start: str, value: Any, column: int, end: str) -> str:
    """A value behind its name, on one line where it fits, else an item a line."""
    line = start + _literal(value) + end
    if column + len(line) <= WIDTH or not _has_items(value):
        return line
    opening, items, closing = _parts(value)
    inner = column + INDENT
    lines = [
        ' ' * inner + _laid_out(name, item, inner, ',') + '\n' for name, item in items
    ]
    return f'{start}{opening}\n{"".join(lines)}{" " * column}{closing}{end}'


def _has_items(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and len(value) > 0


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """What opens a dict, list or tuple, its items with their names, what closes it."""
    if isinstance(value, list):
        return '[', [('', item) for item in value], ']'
    if isinstance(value, tuple):
        return '(', [('', item) for item in value], ')'
    if all(map(_is_name, value)):
        return 'dict(', [(f'{key}=', item) for key, item in value.items()], ')'
    return '{', [(f'{_literal(key)}: ', item) for key, item in value.items()], '}'


def _literal(value: Any) -> str:
    """A value as Python code on one line."""
    if isinstance(value, str):
        text = repr(str(value))
        # MMEngine replaces what stands between double braces; apart they are text.
        return re.sub(r'\{(?=\{)', f'{{{text[0]} {text[0]}', text)
    if value is None or isinstance(value, (bool, bytes)):
        return repr(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        text = float.__repr__(value)
        return text if text[-1].isdigit() else f'float({text!r})'
    if isinstance(value, (Mapping, list, tuple)):
        opening, items, closing = _parts(value)
        comma = ',' if isinstance(value, tuple) and len(value) == 1 else ''
        joined = ', '.join(name + _literal(item) for name, item in items)
        return f'{opening}{joined}{comma}{closing}'
    return _literal_of_object(value)


def _literal_of_object(value: Any) -> str:
    if isinstance(value, (set, frozenset)):
        # In the order of their text: a set has none of its own.
        return f'{type(value).__name__}([{", ".join(sorted(map(_literal, value)))}])'
    if isinstance(value, np.generic):
        return _literal(value.item())
    if isinstance(value, np.ndarray):
        return _literal(value.tolist())
    if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
        return _literal(f'{value.__module__}.{value.__qualname__}')
    return _literal(str(value))


def _is_name(key: Any) -> bool:
    """Whether a key can stand before an equals sign."""
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
