"""What older versions of torch cannot do, refused in one sentence.

A module of its own, since layers that do not know each other ask it.
"""

from __future__ import annotations

import torch

from mmdistill.errors import ConfigError

FULL = (2, 6)
"""Version from which on nothing is refused: compiled networks, narrow precisions on
CPUs, the export to ONNX and a list of the objects that a checkpoint may hold."""


def is_full() -> bool:
    """Whether this torch has all of it."""
    major, minor = torch.__version__.split('.')[:2]
    return (int(major), int(minor)) >= FULL


def require_full(what: str) -> None:
    """Refuse something that needs a newer torch.

    Args:
        what: What was asked for.

    Raises:
        ConfigError: If this torch is older.
    """
    if not is_full():
        raise ConfigError(
            f'{what} needs torch {FULL[0]}.{FULL[1]} or later, this is '
            f'{torch.__version__}'
        )
