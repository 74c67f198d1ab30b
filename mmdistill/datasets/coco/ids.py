"""Ids of a COCO json as the whole numbers that MMPose needs.

Labeling tools write ids as texts, hashes or floats, and point to them by another type
than they were stated in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmdistill.errors import UserError, shortened

LARGEST = 2**53
"""Ids from which on a float, as JSON readers make them, is no exact number."""

MOST_DIGITS = 40
"""Digits of a text that is looked at as a number, with zeros in front."""


@dataclass(frozen=True)
class Numbers:
    """Numbers of ids.

    Attributes:
        by_id: Number of each id, by its text.
    """

    by_id: Mapping[str, int]

    def number(self, given: Any) -> int | None:
        """Number of an id, however it is written; None if nothing has it."""
        if given is None or isinstance(given, (bool, list, dict)):
            return None
        return self.by_id.get(_text(given))


def numbered(where: str, what: str, entries: Sequence[Mapping[str, Any]]) -> Numbers:
    """Number the ids of images or categories.

    Whole numbers stay, texts of digits become the number that they spell unless
    another entry has it, and all others come behind, in the order of the file.

    Args:
        where: The file, for the error's sentence.
        what: The kind of entry.
        entries: The entries, each with an `id`.

    Raises:
        UserError: If an entry has no id, or two have the same.
    """
    texts: dict[str, Any] = {}
    for entry in entries:
        given = entry.get('id')
        if given is None or isinstance(given, (bool, list, dict)):
            raise UserError(
                f'{where} an {what} without an id: {shortened(dict(entry))}'
            )
        text = _text(given)
        if text in texts:
            raise UserError(f'{where} two entries the {what} id {given!r}')
        texts[text] = given
    numbers = {text: int(text) for text in texts if text == _as_number(text)}
    taken, later = set(numbers.values()), []
    for text in texts:
        spelled = _as_number(text)
        if text in numbers:
            continue
        if spelled is None or int(spelled) in taken:
            later.append(text)
        else:
            numbers[text] = int(spelled)
            taken.add(int(spelled))
    first = max(taken, default=0) + 1
    return Numbers({**numbers, **{text: first + i for i, text in enumerate(later)}})


def without_numbers(annotations: Sequence[Mapping[str, Any]]) -> int:
    """How many annotations have no whole number of their own as an id.

    Args:
        annotations: The annotations.
    """
    ids = [annotation.get('id') for annotation in annotations]
    whole = [i for i in ids if type(i) is int and abs(i) < LARGEST]
    return len(ids) - len(set(whole))


def _text(given: Any) -> str:
    if isinstance(given, float) and given.is_integer():
        return str(int(given))
    return str(given)


def _as_number(text: str) -> str | None:
    """The number that a text of digits spells, as text; None if it spells none."""
    digits = text.removeprefix('-')
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > MOST_DIGITS:
        return None
    return str(int(text)) if abs(int(text)) < LARGEST else None
