r"""Files: atomic writes, JSON, hashes, names as text, and numbers as text.

A name on disk is bytes, and need not be UTF-8: old disks and archives have Latin-1.
Python reads such a byte as half of a surrogate pair, which neither Parquet nor JSON can
hold. In keys it is escaped as in JSON: the file whose name is the bytes ``a``, 0xff,
``.jpg`` has the key ``a\udcff.jpg``, with a backslash. A backslash in a name that could
be mistaken for such an escape is escaped too, as ``\u005c``, so that each key names one
file only. All other names are their own keys.

Numbers are written with the fewest digits that restore the same float32.
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

from mmdistill.errors import DataError, UserError

BLOCK = 2**20
"""Number of bytes that are hashed at once."""
LONGEST_STEM = 200
"""Maximum bytes of a name that a temporary one is made of."""
SYSTEM_NAMES = frozenset(
    {
        *('@eadir', '@recently-snapshot', '@recycle', '#recycle', '#snapshot'),
        *('__macosx', '$recycle.bin', 'system volume information', 'lost+found'),
        *('thumbs.db', 'desktop.ini', 'paxheader'),
    }
)
"""Names of files and folders that systems create, in lower case."""

_UNSPELLABLE = re.compile('[\x00\ud800-\udfff]')
_SPELLED = re.compile(r'\\u(0000|005c|d[89a-f][0-9a-f]{2})')
_AMBIGUOUS = re.compile(rf'\\(?={_SPELLED.pattern[2:]})')


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name and rename it when it is complete.

    A reader sees the old file or the new one, never a fragment, even after a power
    failure.

    Args:
        path: Path of the file.
        write: Function that writes the content to the path that it is given.

    Raises:
        UserError: If the disk refuses the file.
    """
    # The name itself may have the maximum length already.
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
        # Where the folder is a file there is nothing to remove.
        with suppress(OSError):
            temporary.unlink()


def folder_problem(path: Path) -> str:
    """Explain why nothing can be written below a folder; empty if it can.

    Nothing is created: the nearest folder above that exists is looked at.

    Args:
        path: The folder, which need not exist.

    >>> folder_problem(Path('/dev/null/labels'))
    '/dev/null is no folder'
    """
    nearest = next(each for each in (path, *path.absolute().parents) if each.exists())
    if not nearest.is_dir():
        return f'{nearest} is no folder'
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f'{nearest} cannot be written to'
    return ''


def remove_parts(root: Path) -> None:
    """Remove temporary files that killed writes left below a folder.

    Args:
        root: A folder that no other process writes to.
    """
    for temporary in root.rglob('.*.part'):
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes atomically, see `write_whole`.

    Args:
        path: Path of the file.
        data: Its content.

    Raises:
        UserError: If the disk refuses the file.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    write_whole(path, write)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; equal content gives equal bytes.

    Halves of surrogate pairs, as in names that are not UTF-8, are escaped.

    Args:
        path: Path of the file.
        content: JSON values.

    Raises:
        UserError: If the disk refuses the file.
        ValueError: If a number is not finite.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding='utf-8', errors='backslashreplace')

    write_whole(path, write)


def read_json(
    path: Path, description: str, remedy: str = '', kind: type[UserError] = DataError
) -> Any:
    """Read JSON.

    Args:
        path: The file.
        description: Description of the file, for the error.
        remedy: Sentence that says what to do where it is missing or not JSON.
        kind: Kind of the error.

    Raises:
        UserError: One of the kind, if the file is missing or not JSON.
    """
    try:
        data = path.read_bytes()
        if trouble := _not_text(data):
            raise kind(f'{description} {path} is not valid JSON: {trouble}')
        return json.loads(data.decode('utf-8-sig'))
    except OSError as error:
        advice = (
            f'. {remedy}' if remedy and isinstance(error, FileNotFoundError) else ''
        )
        raise kind(
            f'{description} {path} cannot be read: {error.strerror}{advice}'
        ) from error
    except (ValueError, RecursionError) as error:
        advice = f'. {remedy}' if remedy else ''
        raise kind(
            f'{description} {path} is not valid JSON: {error}{advice}'
        ) from error


COMPRESSIONS = {
    b'\x1f\x8b': 'gzip',
    b'BZh': 'bzip2',
    b'\xfd7zXZ\x00': 'xz',
    b'\x28\xb5\x2f\xfd': 'zstandard',
    b'PK\x03\x04': 'zip',
    b'7z\xbc\xaf\x27\x1c': '7-zip',
}
"""First bytes of compressed files."""


def compression(start: bytes) -> str | None:
    """Name the compression of a file by its first bytes; None if there is none.

    Args:
        start: At least the first six bytes of the file.
    """
    return next(
        (name for mark, name in COMPRESSIONS.items() if start.startswith(mark)), None
    )


def _not_text(data: bytes) -> str:
    """The reason why bytes are not text in UTF-8, with a way on; empty if they are."""
    if packed := compression(data):
        return f'it is compressed ({packed}); unpack it'
    if data.startswith((b'\xff\xfe', b'\xfe\xff')) or b'\0' in data[:4]:
        return 'it is UTF-16 or UTF-32; save it as UTF-8'
    try:
        data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        return f'byte {error.start} is not UTF-8; save it as UTF-8'
    return ''


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open('rb') as file:
        digest = hashlib.sha256()
        while block := file.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()


def json_sha256(content: Any) -> str:
    """SHA-256 of JSON values, independent of the order of keys, hexadecimal.

    Args:
        content: The values.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def spelled_name(name: str) -> str:
    r"""Escape NUL and halves of surrogate pairs in a file's name.

    Args:
        name: The name, as Python reads it.

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
    r"""Undo the escapes of `spelled_name`.

    Args:
        spelled: An escaped name, as keys of images are.

    >>> file_name('a\\udcff.jpg') == 'a\udcff.jpg'
    True
    """
    if '\\' not in spelled:
        return spelled
    return _SPELLED.sub(lambda match: chr(int(match[1], 16)), spelled)


def listed_key(path: str) -> str:
    """Compute the key of an image that a list names by its path.

    Args:
        path: The path, relative to the image root.

    >>> listed_key('./day1//a.jpg')
    'day1/a.jpg'
    """
    return spelled_name(PurePosixPath(path).as_posix())


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden from users: ``._a.jpg``.

    Args:
        name: The name, without its folder.
    """
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
    """Convert float32 to the float64 of fewest digits that restores each value.

    Args:
        values: Numbers, (...), float32.

    Returns:
        The numbers, (...), float64.
    """
    text = pa.array(np.ascontiguousarray(values).reshape(-1)).cast(pa.string())
    return text.cast(pa.float64()).to_numpy().reshape(values.shape)


def xywh(bboxes: np.ndarray) -> np.ndarray:
    """Convert boxes to COCO's (x, y, width, height), (M, 4), float64.

    The sum of corner and sides is the far corner to the last bit of float32.

    Args:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4), float32.
    """
    corners = shortest(bboxes)
    # Eight decimals restore the far corner to the last bit.
    sides = (corners[:, 2:] - corners[:, :2]).round(8)
    return np.concatenate([corners[:, :2], sides], axis=1)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
