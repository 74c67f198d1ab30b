"""A selection read back from JSON, which knows neither tuples nor our classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from mmdistill.labels.counts import LabeledCounts, Part, UnlabeledCounts
from mmdistill.labels.selection_options import SelectionOptions
from mmdistill.labels.thresholds import Threshold

KINDS: dict[str, tuple[type, ...]] = {
    'int': (int,),
    'int | None': (int, type(None)),
    'str': (str,),
    'str | None': (str, type(None)),
    'float': (int, float),
    'float | None': (int, float, type(None)),
}
"""Types that JSON has for the annotations of our dataclasses."""
LARGEST = 2**63
"""More than any count or number of a category."""
LISTS = ('keypoint_thrs', 'curve_thresholds', 'curve_means')


def selection_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Selection` as they were before they became JSON.

    Args:
        content: They as `json` reads them.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: If it is not the content of a
            selection.
    """
    _check(content)
    labeled = dict(content['labeled'])
    for name in ('categories', 'keypoints'):
        labeled[name] = tuple(labeled[name])
    labeled['categories'] = tuple(map(tuple, labeled['categories']))
    converted = dict(
        options=SelectionOptions(**content['options']),
        thresholds=tuple(Threshold(**each) for each in content['thresholds']),
        labeled=LabeledCounts(**labeled),
        unlabeled=UnlabeledCounts(**content['unlabeled']),
        parts=tuple(Part(**each) for each in content['parts']),
    )
    lists = {key: tuple(content[key]) for key in LISTS}
    return {**content, **lists, **converted}


def _check(content: Mapping[str, Any]) -> None:
    """Make sure that values are of the types that they were written with."""
    labeled = content['labeled']
    _check_fields(LabeledCounts, [labeled])
    _check_fields(UnlabeledCounts, [content['unlabeled']])
    _check_fields(Threshold, content['thresholds'])
    _check_fields(Part, content['parts'])
    for pair in labeled['categories']:
        _check_values(pair, 'int')
    _check_values(labeled['keypoints'], 'int')
    _check_values(content['keypoint_thrs'], 'float | None')
    for name in ('curve_thresholds', 'curve_means'):
        _check_values(content[name], 'float')
    if not isinstance(content['changes'], dict):
        raise TypeError(f'changes can not be {content["changes"]!r}')


def _check_fields(kind: type, entries: Iterable[Mapping[str, Any]]) -> None:
    for entry in entries:
        for field in fields(kind):
            if field.name in entry and str(field.type) in KINDS:
                _check_values([entry[field.name]], str(field.type))


def _check_values(values: Any, annotation: str) -> None:
    if not isinstance(values, (list, tuple)):
        raise TypeError(f'a list is expected, got {values!r}')
    for value in values:
        wrong = isinstance(value, bool) or not isinstance(value, KINDS[annotation])
        wrong |= isinstance(value, float) and not math.isfinite(value)
        if wrong or (isinstance(value, int) and abs(value) >= LARGEST):
            raise TypeError(f'{annotation} is expected, got {value!r}')
