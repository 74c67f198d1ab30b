"""All processes of a run: one of them asks, all hear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.dist import broadcast_object_list, get_rank

from mmdistill.errors import UserError


def run_on_rank_zero(ask: Callable[[], Any]) -> Any:
    """Ask on the first rank and tell all, its error too.

    Args:
        ask: Called on the first rank alone; its answer can be pickled.

    Raises:
        UserError: If asking raised one.
    """
    heard: list[Any] = [None, None]
    if get_rank() == 0:
        try:
            heard[0] = ask()
        except UserError as error:
            heard[1] = error
    broadcast_object_list(heard)
    if heard[1] is not None:
        raise heard[1]
    return heard[0]
