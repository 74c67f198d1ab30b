"""Numbers of the `distill` section that no stage could work with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from mmdistill.errors import UserError


@dataclass(frozen=True)
class Range:
    """What a setting may be.

    Attributes:
        low: The least value.
        high: The greatest one.
        whole: Whether it counts something.
        open: Whether both ends are excluded.
    """

    low: float = -inf
    high: float = inf
    whole: bool = False
    open: bool = False

    def __contains__(self, value: object) -> bool:
        kinds = int if self.whole else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            return False
        if self.open:
            return self.low < value < self.high
        return isfinite(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        kind = 'a whole number' if self.whole else 'a number'
        if self.open and self.high == inf:
            return f'{kind} above {self.low:g}'
        if self.open:
            return f'{kind} between {self.low:g} and {self.high:g}, both excluded'
        if self.high < inf:
            return f'{kind} from {self.low:g} to {self.high:g}'
        return f'{kind} of at least {self.low:g}' if self.low > -inf else kind


SHARE, POSITIVE = Range(0, 1), Range(0, inf, open=True)
RANGES = {
    'labeling': {
        'batch_size': Range(1, whole=True),
        'num_workers': Range(0, whole=True),
        'chunk_size': Range(1, whole=True),
        'score_floor': Range(),
        'nms_thr': SHARE,
        'max_failures': SHARE,
    },
    'detector': {
        'score_thr': SHARE,
        'nms_thr': SHARE,
        'batch_size': Range(1, whole=True),
        'num_workers': Range(0, whole=True),
        'chunk_size': Range(1, whole=True),
    },
    'mixing': {
        'labeled_share': Range(0, 1, open=True),
        'pseudo_weight': Range(0),
    },
    'schedule': {'max_factor': Range(1)},
}
LISTS = {
    'views': {
        'scales': POSITIVE,
        'aspect_ratios': POSITIVE,
        'rotations': Range(),
    },
    'schedule': {'milestones': Range(0, 1, open=True)},
}


def check_values(section: Mapping[str, Any]) -> None:
    """Refuse what would stop a stage, before the first one runs.

    Args:
        section: The `distill` section.

    Raises:
        UserError: If a number is none or out of its range, or a switch is no switch.
    """
    for name, value, allowed in _stated(section, RANGES):
        if value not in allowed:
            raise UserError(f'{name} must be {allowed}, got {value!r}')
    for name, values, allowed in _stated(section, LISTS):
        _check_list(name, values, allowed)
    # A word such as 'no' would count as yes.
    augmented = (section.get('detector') or {}).get('tta', False)
    if not isinstance(augmented, bool):
        raise UserError(
            f'distill.detector.tta must be True or False, got {augmented!r}'
        )


def _stated(
    section: Mapping[str, Any], table: Mapping[str, Mapping[str, Range]]
) -> Iterator[tuple[str, Any, Range]]:
    for part, ranges in table.items():
        values = section.get(part) or {}
        for key in filter(values.__contains__, ranges):
            yield f'distill.{part}.{key}', values[key], ranges[key]


def _check_list(name: str, values: Any, allowed: Range) -> None:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise UserError(f'{name} must be a list, got {values!r}')
    for value in values:
        if value not in allowed:
            raise UserError(f'each of {name} must be {allowed}, got {value!r}')
