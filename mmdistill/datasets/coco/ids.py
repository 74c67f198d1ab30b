"""Ids of a COCO json as the integers that MMPose needs.

Labeling tools write ids as strings, hashes or floats, and refer to them by another
type than the one they are defined with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.errors import DataError, shortened

FIRST_INEXACT = 2**53
"""Ids from which a float, as JSON readers return it, is not exact."""

MAX_DIGITS = 40
"""Maximum number of digits of a string that counts as a number, zeros included."""


@dataclass(frozen=True)
class IdNumbers:
    """Mapping from ids to numbers.

    Attributes:
        by_id: Number of each id, by the id as a string.
    """

    by_id: Mapping[str, int]

    def number(self, entry_id: Any) -> int | None:
        """Return the number of an id of any type; None if it is unknown.

        Args:
            entry_id: The id, as the json has it.
        """
        if entry_id is None or isinstance(entry_id, (bool, list, dict)):
            return None
        return self.by_id.get(_text(entry_id))


def number_ids(
    where: str, kind: str, entries: Sequence[Mapping[str, Any]]
) -> IdNumbers:
    """Number the ids of images or categories.

    Integers are kept, strings of digits become the number they spell unless another
    entry has it, and all others follow, in the order of the file.

    Args:
        where: The file, for error messages.
        kind: Kind of the entries.
        entries: The entries, each with an `id`.

    Raises:
        UserError: If an entry has no id, or two have the same.
    """
    texts: dict[str, Any] = {}
    for entry in entries:
        entry_id = entry.get('id')
        if entry_id is None or isinstance(entry_id, (bool, list, dict)):
            raise DataError(
                f'{where} an {kind} without an id: {shortened(dict(entry))}'
            )
        text = _text(entry_id)
        if text in texts:
            raise DataError(f'{where} two entries the {kind} id {entry_id!r}')
        texts[text] = entry_id
    numbers = {text: int(text) for text in texts if text == _canonical(text)}
    taken, unnumbered = set(numbers.values()), []
    for text in texts:
        digits = _canonical(text)
        if text in numbers:
            continue
        if digits is None or int(digits) in taken:
            unnumbered.append(text)
        else:
            numbers[text] = int(digits)
            taken.add(int(digits))
    first = max(taken, default=0) + 1
    return IdNumbers(
        {**numbers, **{text: first + i for i, text in enumerate(unnumbered)}}
    )


def count_without_number(annotations: Sequence[Mapping[str, Any]]) -> int:
    """Count annotations whose id is not an integer of their own.

    Args:
        annotations: The annotations.
    """
    ids = [annotation.get('id') for annotation in annotations]
    integers = [i for i in ids if type(i) is int and abs(i) < FIRST_INEXACT]
    return len(ids) - len(set(integers))


def _text(entry_id: Any) -> str:
    if isinstance(entry_id, float) and entry_id.is_integer():
        return str(int(entry_id))
    return str(entry_id)


def _canonical(text: str) -> str | None:
    """Canonical form of a string of digits; None for any other string."""
    digits = text.removeprefix('-')
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MAX_DIGITS:
        return None
    return str(int(text)) if abs(int(text)) < FIRST_INEXACT else None
