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


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name and rename it when it is complete.

    A reader sees the old file or the new one, never a part.

    Args:
        path: Where the file shall be.
        write: Writes the content to the path it is given.

    Raises:
        UserError: If the disk refuses the file.
    """
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open('rb') as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f'{path} could not be written: {error.strerror}') from error
    finally:
        # Where the folder is a file there is nothing to remove, and no way to.
        with suppress(OSError):
            temporary.unlink()


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; the same content gives the same bytes."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'

    def write(part: Path) -> None:
        part.write_text(text, encoding='utf-8')

    write_whole(path, write)


def read_json(path: Path, what: str) -> Any:
    """Read JSON.

    Args:
        path: The file.
        what: What the file is, for the error's sentence.

    Raises:
        UserError: If the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise UserError(f'{what} {path} can not be read: {error.strerror}') from error
    except ValueError as error:
        raise UserError(f'{what} {path} is not valid JSON: {error}') from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
