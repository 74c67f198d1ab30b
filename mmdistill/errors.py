"""Errors of the user's side: one sentence each, of four kinds that callers distinguish.

    UserError (exit code 2)
    ├── ConfigError          a config, an option or an environment
    ├── DataError            images, annotations, boxes or sources
    ├── StoreError           a store, its selection or its lock
    ├── CheckpointError      a checkpoint or the weights in it
    └── TooManyFailuresError (exit code 1) a run that ended with too many failed images

A `UserError` itself is of no one of these kinds: a full disk, memory that is too small.
"""

from __future__ import annotations

LONGEST_VALUE = 80
"""Characters of a received value that a sentence shows."""


class UserError(ValueError):
    """A wrong input, configuration or environment, stated in one sentence.

    The sentence names the thing, the rule and the value received; particulars may
    follow, each on a line that begins with ``- ``. The command line prints it alone
    and exits with `exit_code`; everything else is a defect and keeps its traceback.
    """

    exit_code = 2


class ConfigError(UserError):
    """A config, an option or an environment that nothing can run with."""


class DataError(UserError):
    """Images, annotations, boxes or sources that are missing or damaged."""


class StoreError(UserError):
    """A store, or its selection, that is damaged, in use or made otherwise."""


class CheckpointError(UserError):
    """A checkpoint that cannot be read, or does not fit its model."""


class TooManyFailuresError(UserError):
    """The run did all it could and wrote it down, but too many images failed."""

    exit_code = 1


def shortened(value: object) -> str:
    """A received value for a sentence, cut where it is long.

    Args:
        value: Anything, as read from a file.
    """
    text = repr(value)
    if len(text) <= LONGEST_VALUE:
        return text
    return f'{text[: LONGEST_VALUE - 1]}…'
