r"""Writing files whole or not at all, and reading them with a sentence.

Names of files as text that every file format takes.

A name on disk is bytes, and need not be UTF-8: old disks and archives have Latin-1.
Python reads such a byte as half of a surrogate pair, which neither Parquet nor a JSON
file takes. In keys it is spelled as JSON spells it: the file whose name is the bytes
``a``, 0xff, ``.jpg`` has the key ``a\udcff.jpg``, with a backslash. A backslash that
stands in a name where it would be mistaken for such a spelling is spelled too, as
``\u005c``, so that each key is that of one file alone. All other names are their own
keys.

Numbers of a store as JSON has them: short, and the same when read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

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
            f'{what} {path} cannot be read: {error.strerror}{advice}'
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


SYSTEM_NAMES = frozenset(
    {
        *('@eadir', '@recently-snapshot', '@recycle', '#recycle', '#snapshot'),
        *('__macosx', '$recycle.bin', 'system volume information', 'lost+found'),
        *('thumbs.db', 'desktop.ini', 'paxheader'),
    }
)
"""Names that systems make and users do not see, in lower case."""

_UNSPELLABLE = re.compile('[\x00\ud800-\udfff]')
_SPELLED = re.compile(r'\\u(0000|005c|d[89a-f][0-9a-f]{2})')
_AMBIGUOUS = re.compile(rf'\\(?={_SPELLED.pattern[2:]})')


def spelled_name(name: str) -> str:
    r"""Spell a file's name as text without NUL and halves of surrogate pairs.

    Args:
        name: The name, as Python gives it.

    Returns:
        The name itself where it can be written as UTF-8.

    >>> spelled_name('a\udcff.jpg')
    'a\\udcff.jpg'
    """
    if '\\' in name:
        name = _AMBIGUOUS.sub(r'\\u005c', name)
    if not name.isascii() or '\0' in name:
        name = _UNSPELLABLE.sub(lambda match: f'\\u{ord(match[0]):04x}', name)
    return name


def file_name(spelled: str) -> str:
    r"""Return the name that `spelled_name` spelled.

    Args:
        spelled: A spelling, as keys of images are.

    >>> file_name('a\\udcff.jpg') == 'a\udcff.jpg'
    True
    """
    if '\\' not in spelled:
        return spelled
    return _SPELLED.sub(lambda match: chr(int(match[1], 16)), spelled)


def listed_key(path: str) -> str:
    """The key of an image that a list names by its path.

    Args:
        path: The path, relative to the image root.

    >>> listed_key('./day1//a.jpg')
    'day1/a.jpg'
    """
    return spelled_name(PurePosixPath(path).as_posix())


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is kept from users: ``._a.jpg``."""
    if name in ('.', '..'):
        return False
    return name.startswith('.') or name.lower() in SYSTEM_NAMES


def is_hidden_path(path: str) -> bool:
    """Whether a file is hidden, or in a hidden folder.

    Args:
        path: Its path, with forward slashes.
    """
    return any(is_hidden(name) for name in path.split('/'))


def shortest(values: np.ndarray) -> np.ndarray:
    """Numbers in float64 with the fewest digits that give each float32 back.

    Args:
        values: Numbers, of any shape, float32.
    """
    text = pa.array(np.ascontiguousarray(values).reshape(-1)).cast(pa.string())
    return text.cast(pa.float64()).to_numpy().reshape(values.shape)


def xywh(bboxes: np.ndarray) -> np.ndarray:
    """Boxes as COCO writes them: corner, width and height, (M, 4), float64.

    Corner and sides added up are the far corner to the last bit of float32.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4), float32.
    """
    corners = shortest(bboxes)
    # Eight decimals give the far corner back to the last bit.
    sides = (corners[:, 2:] - corners[:, :2]).round(8)
    return np.concatenate([corners[:, :2], sides], axis=1)
