"""Communication between the processes of a run.

A module of its own: data sets, loops and hooks share it, and nothing else of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.dist import broadcast_object_list, get_rank

from mmdistill.errors import UserError


def run_on_rank_zero(function: Callable[[], Any]) -> Any:
    """Run on rank 0 and broadcast the result or its error.

    Args:
        function: Called on rank 0 only; its result must be picklable.

    Raises:
        UserError: If the function raised one.
    """
    outcome: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            outcome[0] = function()
        except UserError as error:
            outcome[1] = error
    broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
