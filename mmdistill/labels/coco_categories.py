"""Categories of exported labels: those of the labeled set, wherever it has some."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Categories:
    """Categories of an export.

    Attributes:
        entries: As a COCO json has them, by their numbers.
        numbers: Number in the export of each category of the store.
    """

    entries: list[dict[str, Any]]
    numbers: dict[int, int]


def exported_categories(
    stored: Collection[int],
    labeled: Sequence[Mapping[str, Any]],
    name: str,
    keypoints: Sequence[str],
    skeleton: Sequence[Sequence[int]],
) -> Categories:
    """Name the categories of a store as the labeled set does.

    Where the labeled set has one category, all labels are of it: that is what they
    were counted as. Of several each keeps its number; one that the labeled set does
    not have is named by its number.

    Args:
        stored: Categories of the candidates.
        labeled: Categories of the labeled set, as its COCO json has them; may be empty.
        name: Name of the category where the labeled set has none.
        keypoints: Names of the keypoints.
        skeleton: Pairs of keypoints, counted from 1.
    """
    known = {entry['id']: dict(entry) for entry in labeled}
    numbers = {number: number for number in sorted(stored)}
    if len(known) == 1:
        numbers = dict.fromkeys(numbers, next(iter(known)))
    elif known:
        for number in numbers.keys() - known.keys():
            known[number] = dict(id=number, name=f'category {number}')
    elif len(numbers) > 1:
        known = {n: dict(id=n, name=f'{name} {n}') for n in numbers}
    else:
        number = next(iter(numbers), 1)
        known = {number: dict(id=number, name=name)}
    links = [list(pair) for pair in skeleton]
    entries = []
    for _, entry in sorted(known.items()):
        if entry.get('keypoints') != list(keypoints) or 'skeleton' not in entry:
            entry |= dict(keypoints=list(keypoints), skeleton=links)
        entries.append({'supercategory': entry['name'], **entry})
    return Categories(entries, numbers)
