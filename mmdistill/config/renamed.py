"""Former names of settings: who states one gets a sentence with the new name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmdistill.config.schema import dicts_within
from mmdistill.errors import ConfigError

OPTIONS = {
    'over': 'labeled_images',
    'per': 'group_by',
    'by': 'criterion',
    'floor': 'min_thr',
    'cap': 'max_thr',
}
"""Fields of `SelectionOptions`, in configs, on the command line and in stores."""
KEYS = {
    'distill.labels': 'distill.store',
    'distill.counting': 'distill.selection',
    **{
        f'distill.counting.{old}': f'distill.selection.{OPTIONS[old]}'
        for old in OPTIONS
    },
    **{
        f'distill.selection.{old}': f'distill.selection.{OPTIONS[old]}'
        for old in OPTIONS
    },
}
"""Keys of a config."""
FLAGS = {f'--{old}': f'--{new.replace("_", "-")}' for old, new in OPTIONS.items()}
"""Flags of `tools/select_labels.py`."""
ARGUMENTS = {
    'LabelLoop': {'labels': 'store'},
    'PseudoLabelDataset': {'labels': 'store'},
    'CountMatchingHook': OPTIONS,
}
"""Arguments of registered classes, as `--write-config` wrote them."""


def with_new_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a selection that may have their former names.

    Args:
        options: Fields of `SelectionOptions`, as a `selection.json` has them.
    """
    return {OPTIONS.get(name, name): value for name, value in options.items()}


def renamed_key(name: str, value: Any) -> str | None:
    """The sentence about a former key; None for any other.

    Args:
        name: The key with its sections, as ``distill.labels``.
        value: Its value; of a section the keys in it are named too.
    """
    if name not in KEYS:
        return None
    inner = [f'{name}.{key}' for key in value] if isinstance(value, Mapping) else []
    pairs = [(old, KEYS[old]) for old in (name, *inner) if old in KEYS]
    return f'{", and ".join(f"{old} is now {new}" for old, new in pairs)}'


def check_arguments(config: Mapping[str, Any]) -> None:
    """Refuse former arguments of our classes anywhere in a config.

    Args:
        config: Any config, as one that `--write-config` wrote long ago.

    Raises:
        UserError: If there is one.
    """
    for settings in dicts_within(dict(config)):
        kind = str(settings.get('type')).rpartition('.')[2]
        for old, new in ARGUMENTS.get(kind, {}).items():
            if old in settings:
                raise ConfigError(
                    f'{old} of {kind} is now {new}, got {old}={settings[old]!r}; write '
                    'the config again with --write-config, or rename the argument'
                )
