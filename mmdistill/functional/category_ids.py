"""Under which category ids a detector's boxes are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdistill.errors import UserError


def category_ids(
    classes: Sequence[str],
    wanted: Sequence[str] | Mapping[str, int] | None,
    labeled: Mapping[str, int],
) -> dict[str, int]:
    """The id of each wanted class, as count matching compares it.

    A class that the labelled set has by name has its id there. A single class beside
    a labelled set of a single category is that category, whatever they are called.
    Any other one has its number in the detector's list, from 1, as COCO has it.

    Args:
        classes: Names of the detector's classes, in the order of its outputs.
        wanted: Those that count, or a mapping that states their ids; all by default.
        labeled: Ids of the labelled set's categories by name.

    Raises:
        UserError: If the detector has no such class, or a number stands for another
            category of the labelled set.
    """
    names = list(classes if wanted is None else wanted)
    if isinstance(wanted, str) or not names:
        raise UserError(
            f'distill.detector.categories must list names of classes, got {wanted!r}'
        )
    for name in names:
        if name not in classes:
            raise UserError(
                f'the detector has no class {name!r} of distill.detector.categories; '
                f'it has {", ".join(classes)}'
            )
    if isinstance(wanted, Mapping):
        return {name: int(number) for name, number in wanted.items()}
    if len(names) == len(labeled) == 1:
        return dict.fromkeys(names, *labeled.values())
    return {name: _id_of(name, list(classes), labeled) for name in names}


def _id_of(name: str, classes: Sequence[str], labeled: Mapping[str, int]) -> int:
    if name in labeled:
        return labeled[name]
    number = classes.index(name) + 1
    taken = [other for other, its_id in labeled.items() if its_id == number]
    if taken:
        raise UserError(
            f"the labelled set has no category {name!r}, and the detector's number of "
            f'it, {number}, is its {taken[0]!r}; state the id of each category that '
            f'counts, as distill.detector.categories={{{name!r}: ID}}'
        )
    return number
