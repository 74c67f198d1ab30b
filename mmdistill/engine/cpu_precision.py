"""Mixed precision in a config, on a machine without an accelerator.

MMEngine's `AmpOptimWrapper` is for accelerators alone and stops with an assertion on
others. The config is right all the same: in single precision it trains the same model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from mmdistill.config_types import is_type

MIXED = 'AmpOptimWrapper'
WITHOUT = ('cpu', 'mps')
"""Devices for which MMEngine has no mixed precision."""
OF_MIXED = ('loss_scale', 'dtype', 'use_fsdp')
"""Arguments that its plain `OptimWrapper` does not take."""


def use_single_precision(config: Config, device: str | None = None) -> str | None:
    """Train in single precision where the machine has no accelerator.

    Args:
        config: The runner's config; its optimizer wrapper is changed.
        device: The device; this machine's by default.

    Returns:
        The line for the log; None where the config stays.
    """
    device = device or get_device()
    if device not in WITHOUT:
        return None
    mixed = [*_mixed(config.get('optim_wrapper'))]
    for wrapper in mixed:
        wrapper['type'] = 'OptimWrapper'
        for name in OF_MIXED:
            wrapper.pop(name, None)
    if not mixed:
        return None
    return (
        f'{MIXED} needs an accelerator: on this machine ({device}) the training runs '
        'in single precision'
    )


def _mixed(wrapper: Any) -> Iterator[dict[str, Any]]:
    """Wrappers of mixed precision; a config may have one for each part of a model."""
    if isinstance(wrapper, dict):
        if is_type(wrapper, MIXED):
            yield wrapper
        for part in wrapper.values():
            yield from _mixed(part)
