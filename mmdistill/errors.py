"""The one exception that means: the input is wrong, here is the sentence."""

from __future__ import annotations


class UserError(ValueError):
    """A wrong input, configuration or environment, told in one sentence.

    The sentence names the thing, the rule and the value received. The
    command line prints it alone and exits with code 2; everything else is a
    defect and keeps its traceback.
    """
