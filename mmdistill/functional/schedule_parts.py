"""A schedule of several parts, made longer or shorter.

One that warms up, falls, rises again and ends at a constant rate has boundaries between
its parts. Some parts keep their length, and the others share what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Stretch:
    """Piecewise linear map from the steps of a schedule to those of another length.

    Attributes:
        before: Boundaries of the parts, ascending from 0 to the length, (P + 1,).
        after: The same boundaries in the other schedule, (P + 1,).

    >>> stretch = Stretch((0, 10, 100), (0, 10, 190))
    >>> [stretch(step) for step in (5, 10, 55, 100)]
    [5, 10, 100, 190]
    """

    before: tuple[int, ...]
    after: tuple[int, ...]

    def __call__(self, step: int) -> int:
        """Return the step of the other schedule, rounded; one beyond the end is moved.

        Args:
            step: A step of the schedule, at least 0.
        """
        spans = zip(pairwise(self.before), pairwise(self.after), strict=True)
        for (low, high), (start, end) in spans:
            if step <= high:
                return round(start + (step - low) * (end - start) / (high - low))
        return step + self.after[-1] - self.before[-1]


def stretch_parts(
    boundaries: Iterable[int], new_length: int, fixed: Sequence[tuple[int, int]] = ()
) -> Stretch:
    """Make a schedule longer or shorter, part by part.

    Parts of a single step keep it: a scheduler of one step changes the rate once, and
    one of two would change it back. So do the fixed ones, as a warm-up. All others grow
    by the same factor.

    Args:
        boundaries: Steps where parts begin or end, the length among them; 0 is one.
        new_length: Length of the other schedule, at least 1.
        fixed: Spans (begin, end) that keep their length.

    Raises:
        ValueError: If a part would have no step.

    >>> stretch_parts([5, 280, 281, 580, 600], 180, [(0, 5), (580, 600)]).after
    (0, 5, 79, 80, 160, 180)
    """
    before = sorted({0, *boundaries, *(end for span in fixed for end in span)})
    parts = [*pairwise(before)]
    keeps = [high - low == 1 or _is_within((low, high), fixed) for low, high in parts]
    if all(keeps):
        keeps = [False] * len(parts)
    kept = sum(
        high - low for (low, high), keep in zip(parts, keeps, strict=True) if keep
    )
    factor = (new_length - kept) / (before[-1] - kept)
    ends, end = [0], 0.0
    for (low, high), keep in zip(parts, keeps, strict=True):
        end += (high - low) * (1 if keep else factor)
        ends.append(round(end))
    if any(low >= high for low, high in pairwise(ends)):
        raise ValueError(
            f'its {len(parts)} parts, which end at {before[1:]}, do not fit into '
            f'{new_length} steps'
        )
    return Stretch(tuple(before), tuple(ends))


def _is_within(part: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    return any(begin <= part[0] and part[1] <= end for begin, end in spans)
