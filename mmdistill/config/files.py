"""Configs by their path, the recipes that travel with the package among them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mmengine.config import Config

from mmdistill.errors import ConfigError, UserError

PACKAGE = Path(__file__).parents[1]
ROOTS = (PACKAGE / '.mim', PACKAGE.parent)
"""Folders that `configs/…` is below: in an installed wheel, in a clone."""


def recipe_file(path: str | Path, what: str = 'the config') -> Path:
    """A config file; where there is none, the recipe of that path.

    So `configs/distill/lspe/student.py` is found wherever a command is typed. A
    user's own file comes first.

    Args:
        path: The path as it was typed.
        what: What it is, for the sentence.

    Raises:
        UserError: If there is neither.
    """
    as_typed = Path(path)
    for file in (as_typed, *(root / as_typed for root in ROOTS)):
        if file.is_file():
            return file
    raise ConfigError(
        f'{what} {path} does not exist, and mmdistill has no recipe of that path'
    )


def tool_file(name: str) -> Path:
    """The file of a tool, in an installed wheel or in a clone.

    Args:
        name: Its name, as ``train.py``.

    Raises:
        ConfigError: If the package came without its tools.
    """
    for root in ROOTS:
        file = root / 'tools' / name
        if file.is_file():
            return file
    raise ConfigError(
        f'tools/{name} of mmdistill is neither in {ROOTS[0]} nor in {ROOTS[1]}; '
        'install the package with pip, or work in a clone'
    )


def read_config(path: str | Path, what: str = 'the config') -> Config:
    """Read a config file, which is code of the user's and can fail in any way.

    Args:
        path: The path as it was typed; see `recipe_file`.
        what: What it is, for the sentence.

    Raises:
        UserError: If there is no such file, or it or one of its bases cannot be read.
    """
    file = recipe_file(path, what)
    try:
        return Config.fromfile(file)
    except UserError:
        raise
    except Exception as error:
        raise ConfigError(
            f'{what} {path} cannot be read: {_reason(file, error)}'
        ) from error


def _reason(file: Path, error: Exception) -> str:
    """The reason why a config cannot be read, without MMEngine's own advice."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f'{error.filename}, its base or a file that it reads, does not exist'
    if isinstance(error, SyntaxError):
        where = 'it' if _has_syntax_error(file) else 'one of its bases'
        return f'{where} is no Python in line {error.lineno}: {error.msg}'
    text = ' '.join(str(error).split()) or 'no reason given'
    lazy = re.search(r'module in (\S+\.py)\.', text)
    if lazy and 'inheritance chain' in text:
        return (
            f'its base {lazy[1]} has the new form of configs (`with read_base()`), '
            'which a text config cannot inherit'
        )
    doubled = re.search(r'Duplicate keys: {(.*)}', text)
    if doubled:
        names = sorted(name.strip(" '") for name in doubled[1].split(','))
        return (
            f'several of its bases state {" and ".join(names)}; let one base inherit '
            'the other, so that it is known which holds'
        )
    text = text.partition('! ')[0].partition('. Please ')[0]
    return f'{type(error).__name__}: {text}'


def _has_syntax_error(file: Path) -> bool:
    try:
        ast.parse(file.read_text(encoding='utf-8'))
    except SyntaxError:
        return True
    return False
