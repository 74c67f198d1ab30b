"""Check of the files that a tool writes against those of a config and of stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdistill.errors import ConfigError

PAGES = ('.html', '.png', '.svg', '.pdf')
"""Endings of files that are written into stores, to be looked at."""


def check_output(
    flag: str,
    path: str | Path,
    config: Config | None = None,
    inputs: Mapping[str, str | Path | None] | None = None,
) -> None:
    """Refuse to write over a file that a run reads.

    Args:
        flag: What names the file, as ``--out``.
        path: The file to write.
        config: The config, whose files are looked through; None for a tool without.
        inputs: Other files that the run reads, by what they are; None for one that is
            not given.

    Raises:
        ConfigError: If it is the config itself, a file that the config names, or one of
            a label store, or no file at all.
    """
    file = Path(path)
    if not str(path) or file.is_dir():
        raise ConfigError(f'{flag} must name a file, got {str(path)!r}')
    if not file.exists():
        return
    read = [(name, Path(each)) for name, each in (inputs or {}).items() if each]
    for name, other in (*read, *_named_files(config)):
        if other.exists() and other.samefile(file):
            raise ConfigError(
                f'{flag} {path} is {name}, which it would replace; name another file'
            )
    store = next((p for p in file.absolute().parents if _is_store(p)), None)
    if store is not None and file.suffix not in PAGES:
        raise ConfigError(
            f'{flag} {path} is a file of the label store {store}, which it would '
            'replace; name another file'
        )


def _is_store(folder: Path) -> bool:
    return (folder / 'manifest.json').is_file() and (folder / 'chunks').is_dir()


def _named_files(config: Config | None) -> Iterator[tuple[str, Path]]:
    """Iterate over the files that a config names, with what names each."""
    if config is None:
        return
    if config.filename:
        yield 'the config itself', Path(config.filename)
    yield from _files_within('', config.to_dict())


def _files_within(name: str, value: Any, root: str = '') -> Iterator[tuple[str, Path]]:
    if isinstance(value, Mapping):
        inner = value.get('data_root')
        root = inner if isinstance(inner, str) else ''
        for key, each in value.items():
            yield from _files_within(f'{name}.{key}' if name else str(key), each, root)
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _files_within(f'{name}.{number}', each, root)
    elif isinstance(value, str) and '\0' not in value and len(value) < 4096:
        for path in (Path(value), Path(root, value)):
            if _is_file(path):
                yield f'{name} of the config', path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a text that is no path, as a name that is too long
        return False
