"""The type that a part of a config names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_type(part: Mapping[str, Any], name: str) -> bool:
    """Whether a part of a config names a type, with or without its scope.

    Args:
        part: The part, with a `type` or without.
        name: The type's own name.
    """
    return str(part.get('type')).rpartition('.')[2] == name
