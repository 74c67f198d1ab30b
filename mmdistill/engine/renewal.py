"""When a selection that stands is made again."""

from __future__ import annotations

from dataclasses import asdict

from mmdistill.labels import Selection
from mmdistill.labels.counts import LabeledCounts
from mmdistill.labels.selection_options import SelectionOptions


def why_again(
    selection: Selection,
    options: SelectionOptions,
    labeled: LabeledCounts,
    current: bool,
) -> list[str]:
    """What changed since a selection was made.

    Args:
        selection: The selection that stands.
        options: How pseudo-labels are to be chosen now.
        labeled: Counts of the labelled set as it is now.
        current: Whether it was made of the store as it is now.

    Returns:
        The reasons to make it again, in words; none while it holds.
    """
    reasons = [] if current else ['the store has other images than when it was made']
    if selection.labeled.fingerprint != labeled.fingerprint:
        reasons.append(
            f'it was matched to another labelled set ({selection.labeled.instances} '
            f'instances, now {labeled.instances})'
        )
    before = asdict(selection.options)
    reasons += [
        f'{name} was {before[name]!r} and is {value!r}'
        for name, value in asdict(options).items()
        if before[name] != value
    ]
    return reasons
