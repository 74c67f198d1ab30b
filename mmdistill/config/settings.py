"""The fields of which the sections of a config are made: kind, meaning, default."""

from __future__ import annotations

from dataclasses import MISSING, field
from typing import Any

from mmdistill.config.kinds import Kind


def setting(kind: Kind, meaning: str, default: Any = None) -> Any:
    """A field with the kind of its values and what they mean.

    Args:
        kind: What a value must be.
        meaning: What it means, a line.
        default: What holds where nothing is stated; one of None is worked out.
    """
    return field(default=default, metadata=dict(kind=kind, meaning=meaning))


def section(settings: type, meaning: str, default: Any = MISSING) -> Any:
    """A field with settings of its own.

    Args:
        settings: The class of the settings.
        meaning: What they are about, a line.
        default: None where it may be left out whole; else its own defaults hold, and
            `required` it must be stated.
    """
    metadata = dict(section=settings, meaning=meaning)
    if default is MISSING:
        return field(default_factory=settings, metadata=metadata)
    return field(default=default, metadata=metadata)


def required(
    meaning: str,
    kind: Kind | None = None,
    settings: type | None = None,
    several: bool = False,
) -> Any:
    """A field that every recipe states.

    Args:
        meaning: What it means, a line.
        kind: What a value must be.
        settings: The class of its settings, instead.
        several: Whether a list of such settings may be stated; the field is a tuple.
    """
    if settings is None:
        what: dict[str, Any] = dict(kind=kind)
    else:
        what = dict(section=settings, several=several)
    return field(metadata=dict(what, meaning=meaning))
