"""The reference of all settings, as tables for `configs/README.md`.

python -m mmdistill.config.reference configs/README.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from mmdistill.config import kinds
from mmdistill.config.schema import DistillConfig
from mmdistill.errors import ConfigError, UserError

START, END = '<!-- settings -->', '<!-- end of settings -->'
COMMAND = 'python -m mmdistill.config.reference configs/README.md'
TITLE = '## Every setting of `distill`'
HEAD = '| setting | value | default | meaning |\n|---|---|---|---|'


def reference() -> str:
    """The tables in Markdown, a section of `distill` each, with their markers."""
    tables = [f'`distill`: {_sentence(DistillConfig)}\n\n{_table(DistillConfig)}']
    sections = [*_sections('distill', DistillConfig)]
    inner = [each for name, section in sections for each in _sections(name, section)]
    for name, section in [*sections, *inner]:
        tables.append(f'`{name}`: {_sentence(section)}\n\n{_table(section)}')
    body = '\n\n'.join([TITLE, f'Written by `{COMMAND}`.', *tables])
    return f'{START}\n{body}\n\n{END}\n'


def renewed(text: str) -> str:
    """A text with the tables in it as they are now.

    Args:
        text: The text, with both markers.

    Raises:
        UserError: If it has none.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END + '\n')
    if not start or not end:
        raise ConfigError(f'there must be a line {START} and, after it, a line {END}')
    return before + reference() + after


def _sections(name: str, owner: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    """Iterate over the sections within a section, with their names."""
    for setting in fields(owner):
        if 'section' in setting.metadata:
            yield f'{name}.{setting.name}', setting.metadata['section']


def _sentence(section: type) -> str:
    text = (section.__doc__ or '').splitlines()[0]
    return text[0].lower() + text[1:]


def _table(section: type[Any]) -> str:
    return '\n'.join([HEAD, *map(_row, fields(section))])


def _row(setting: Field[Any]) -> str:
    meaning = setting.metadata['meaning']
    cells = (f'`{setting.name}`', _kind(setting), _default(setting), meaning)
    return f'| {" | ".join(cell.replace("|", chr(92) + "|") for cell in cells)} |'


def _kind(setting: Field[Any]) -> str:
    return _kind_text(setting.metadata.get('kind', 'a section'))


def _kind_text(kind: Any) -> str:
    if isinstance(kind, kinds.Path):
        return 'a path'
    if isinstance(kind, kinds.Either):
        return ' or '.join(map(_kind_text, kind.kinds))
    if isinstance(kind, kinds.ListOf):
        return f'{kind}, each {kind.kind}'
    return str(kind)


def _default(setting: Field[Any]) -> str:
    if setting.default_factory is not MISSING:
        return 'its own'
    if setting.default is MISSING:
        return '**required**'
    return '' if setting.default in (None, '') else f'`{setting.default!r}`'


def main(argv: Sequence[str] | None = None) -> None:
    """Renew the tables in the file that is named.

    Args:
        argv: The file; that of the command line by default.

    Raises:
        SystemExit: If the file has no tables to renew.
    """
    (path,) = sys.argv[1:] if argv is None else argv
    file = Path(path)
    try:
        file.write_text(renewed(file.read_text()))
    except UserError as error:
        raise SystemExit(f'error: {path}: {error}') from error


if __name__ == '__main__':
    main()
