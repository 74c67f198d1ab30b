"""Names of a config's top-level keys: one that is misspelled would be read by nothing.

A config may have variables of its own, such as `data_root`, so that an unknown name is
no error by itself; one that is nearly that of a key is.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable
from functools import cache

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmdistill.errors import ConfigError

OTHER_KEYS = (
    *('distill', 'custom_imports', 'log_name', 'find_unused_parameters', 'sync_bn'),
    *('model_wrapper_cfg', 'tta_model', 'tta_pipeline'),
)
"""Keys that are read beside the arguments of MMEngine's runner."""
KNOWN = frozenset({*inspect.signature(Runner.__init__).parameters, *OTHER_KEYS}) - {
    'self',
    'cfg',
}
"""Keys that MMEngine, its hosts or mmdistill read."""
VARIABLES = ('mode', 'models')
"""Words of their own that are one letter away from a key."""
LONG = 10
"""Letters of a name from which on two errors still leave it recognizable."""
MOST_ERRORS = 2
"""Errors after which it is."""


def check_key_names(config: Config) -> None:
    """Refuse a top-level key that is nearly the name of one that is read.

    Args:
        config: Any config.

    Raises:
        ConfigError: If there is one, with the name that was probably meant.
    """
    for name in config:
        near = misspelled_key(str(name))
        if near:
            raise ConfigError(
                f'nothing reads {name} of the config; did you mean {near}? A variable '
                'of the config needs a name that is less like that'
            )


def log_unread_options(options: Iterable[str]) -> None:
    """Warn of command-line settings whose top-level key nothing reads.

    A variable of a config has been used when the config was read, so that to set it
    afterwards changes nothing.

    Args:
        options: Dotted names of the settings.
    """
    roots = (name.partition('.')[0] for name in options)
    unread = [name for name in dict.fromkeys(roots) if name not in KNOWN]
    if unread:
        listed = ' and '.join(unread)
        print_log(
            f'--cfg-options {listed} changes nothing, since no part of a run reads '
            f'{listed}; set the keys that are to change, such as '
            'train_dataloader.dataset.data_root',
            logger='current',
            level=logging.WARNING,
        )


def misspelled_key(name: str) -> str | None:
    """Return the key that a name is a misspelling of; None if it is none.

    In names of under 10 letters one letter may be missing, too many or swapped with
    the next; in longer ones up to two letters may also be wrong.

    Args:
        name: Name of a top-level key.

    >>> misspelled_key('train_dataloder'), misspelled_key('distil')
    ('train_dataloader', 'distill')
    >>> misspelled_key('train_dataset'), misspelled_key('enc_cfg')
    (None, None)
    """
    if name in KNOWN or name in VARIABLES or name.startswith('_'):
        return None
    return _nearest_key(name)


@cache
def _nearest_key(name: str) -> str | None:
    """Key that another name is near to, remembered: configs have the same names."""
    # No distance is less than the difference of the lengths.
    alike = [key for key in KNOWN if abs(len(key) - len(name)) <= MOST_ERRORS]
    near = [(_distance(name, key), key) for key in alike]
    fitting = [pair for pair in near if _is_near(name, pair[1], pair[0])]
    return min(fitting)[1] if fitting else None


def _is_near(name: str, key: str, distance: int) -> bool:
    if len(key) >= LONG:
        return distance <= MOST_ERRORS
    is_swapped = sorted(name) == sorted(key)
    return distance == 1 and (is_swapped or len(name) != len(key))


def _distance(left: str, right: str) -> int:
    """Number of letters to insert, remove, replace or swap with the next one."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left):
        before, last = row, before
        row = [i + 1]
        for j, b in enumerate(right):
            cost = min(before[j + 1] + 1, row[j] + 1, before[j] + (a != b))
            if i and j and a == right[j - 1] and b == left[i - 1]:
                cost = min(cost, last[j - 1] + 1)
            row.append(cost)
    return row[-1]
