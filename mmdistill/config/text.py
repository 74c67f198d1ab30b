"""Configs as Python text that reads back equal, and as files for MMPose's own tools.

Dicts keep their own order.
"""

from __future__ import annotations

import copy
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.fileio import dump

from mmdistill.config.metainfo import loses_order
from mmdistill.errors import ConfigError
from mmdistill.utils.files import write_bytes

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
    opening, items, closing = _brackets_and_items(value)
    inner = column + INDENT
    lines = [
        ' ' * inner + _laid_out(name, item, inner, ',') + '\n' for name, item in items
    ]
    return f'{start}{opening}\n{"".join(lines)}{" " * column}{closing}{end}'


def _has_items(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and len(value) > 0


def _brackets_and_items(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """The opening of a dict, list or tuple, its items with their names, its closing."""
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
        opening, items, closing = _brackets_and_items(value)
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


HOOK = 'mmdistill.ConfigTextHook'
TEXT_KEYS = '.json'
"""Files whose keys are text, as numbers of keypoints are not."""


def write_config(config: Config, path: str | Path) -> None:
    """Write the config of a stage so that it reads back equal, in the same order.

    Where the host would write it out of order again, into its work folder and its
    checkpoints, a hook among `custom_hooks` keeps the order.

    Args:
        config: The config.
        path: The file, ``.py``, or ``.json``, ``.yaml`` and ``.yml`` where these can
            hold it.

    Raises:
        UserError: If the file has another suffix, its form cannot hold the config,
            or it cannot be written.
    """
    path = Path(path)
    if path.suffix not in ('.py', '.json', '.yaml', '.yml'):
        raise ConfigError(
            f'a config is written as .py (or .json, .yaml, .yml), got {path}'
        )
    config = TextConfig.of(copy.deepcopy(config))
    if loses_order(config):
        config.custom_hooks = [*(config.get('custom_hooks') or []), dict(type=HOOK)]
    if path.suffix == '.py':
        text = config.pretty_text
    else:
        settings = config.to_dict()
        numbered = _numbered_part(settings)
        if path.suffix == TEXT_KEYS and numbered is not None:
            raise ConfigError(
                f'{path} cannot hold {numbered}, whose keys are numbers: JSON has '
                'text for keys; write the config as .py'
            )
        text = dump(settings, file_format=path.suffix[1:])
    write_bytes(path, text.encode())


def _numbered_part(value: Any, name: str = 'the config') -> str | None:
    """Name of the first dict within settings with keys that are no text."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            return name
        items: Any = value.items()
    elif isinstance(value, (list, tuple)):
        items = ((name, item) for item in value)
    else:
        return None
    numbered = (_numbered_part(item, key) for key, item in items)
    return next((each for each in numbered if each is not None), None)
