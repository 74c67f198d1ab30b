"""Writing files whole or not at all, and reading them with a sentence."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmdistill.errors import UserError

LONGEST_STEM = 200
"""Bytes of a name that a temporary one can be made of."""


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name and rename it when it is complete.

    A reader sees the old file or the new one, never a part, also after the power
    failed.

    Args:
        path: Where the file shall be.
        write: Writes the content to the path it is given.

    Raises:
        UserError: If the disk refuses the file.
    """
    # The name itself may be as long as a name can be.
    name = path.name
    if len(os.fsencode(name)) > LONGEST_STEM:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    temporary = path.with_name(f'.{name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f'{path} could not be written: {reason}') from error
    finally:
        # Where the folder is a file there is nothing to remove, and no way to.
        with suppress(OSError):
            temporary.unlink()


def remove_parts(root: Path) -> None:
    """Remove what killed writes left below a folder.

    Args:
        root: A folder that nobody else writes to.
    """
    for part in root.rglob('.*.part'):
        with suppress(OSError):
            part.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes whole or not at all."""

    def write(part: Path) -> None:
        part.write_bytes(data)

    write_whole(path, write)


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; the same content gives the same bytes.

    Halves of surrogate pairs, as in names that are not UTF-8, are escaped.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'

    def write(part: Path) -> None:
        part.write_text(text, encoding='utf-8', errors='backslashreplace')

    write_whole(path, write)


def read_json(path: Path, what: str, remedy: str = '') -> Any:
    """Read JSON.

    Args:
        path: The file.
        what: What the file is, for the error's sentence.
        remedy: What helps where it is missing or not JSON, a sentence.

    Raises:
        UserError: If the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8-sig'))
    except OSError as error:
        advice = (
            f'. {remedy}' if remedy and isinstance(error, FileNotFoundError) else ''
        )
        raise UserError(
            f'{what} {path} can not be read: {error.strerror}{advice}'
        ) from error
    except (ValueError, RecursionError) as error:
        advice = f'. {remedy}' if remedy else ''
        raise UserError(f'{what} {path} is not valid JSON: {error}{advice}') from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def json_sha256(content: Any) -> str:
    """SHA-256 of JSON values, whatever the order of their keys, hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
