"""The one exception that means: the input is wrong, here is the sentence."""

from __future__ import annotations

LONGEST_VALUE = 80
"""Characters of a received value that a sentence shows."""


class UserError(ValueError):
    """A wrong input, configuration or environment, told in one sentence.

    The sentence names the thing, the rule and the value received; particulars may
    follow, each on a line that begins with ``- ``. The command line prints it alone
    and exits with `exit_code`; everything else is a defect and keeps its traceback.
    """

    exit_code = 2


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
