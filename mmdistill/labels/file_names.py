r"""Names of files as text that every file format takes.

A name on disk is bytes, and need not be UTF-8: old disks and archives have Latin-1.
Python reads such a byte as half of a surrogate pair, which neither Parquet nor a JSON
file takes. In keys it is spelled as JSON spells it: the file whose name is the bytes
``a``, 0xff, ``.jpg`` has the key ``a\udcff.jpg``, with a backslash. A backslash that
stands in a name where it would be mistaken for such a spelling is spelled too, as
``\u005c``, so that each key is that of one file alone. All other names are their own
keys.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

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
