"""What produced a store: a nested mapping that must agree in every leaf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree for labels to stand in one store.

    Not what is for readers (`about`), nor the images, of which more may come.

    Args:
        manifest: The manifest of a store or of a run.
    """
    left_out = ('about', 'images')
    return {key: value for key, value in manifest.items() if key not in left_out}


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Lines that say where two manifests disagree, one a leaf.

    Args:
        stored: The manifest of the store.
        wanted: The manifest of the run that wants to add to it.
    """
    left, right = dict(_leaves(stored)), dict(_leaves(wanted))
    return [
        f'{name}: the store has {left.get(name)}, this run {right.get(name)}'
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    ]


def _leaves(manifest: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f'{prefix}{key}.')
        else:
            yield f'{prefix}{key}', value
