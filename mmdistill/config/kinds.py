"""Kinds of values that settings may have; as text, a kind says what a value must be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from math import inf, isfinite
from typing import Any, Protocol

LONGEST_NAME = 255
"""Bytes of a file name that common file systems take."""


class Kind(Protocol):
    """A kind of values; as text it says what a value must be."""

    def __contains__(self, value: object) -> bool:
        """Whether a value is of the kind."""


@dataclass(frozen=True)
class Range:
    """Finite numbers between two ends.

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
        return _is_finite(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        kind = 'a whole number' if self.whole else 'a number'
        if self.open and self.high == inf:
            return f'{kind} above {self.low:g}'
        if self.open:
            return f'{kind} between {self.low:g} and {self.high:g}, both excluded'
        if self.high < inf:
            return f'{kind} from {self.low:g} to {self.high:g}'
        return f'{kind} of at least {self.low:g}' if self.low > -inf else kind


@dataclass(frozen=True)
class Interval:
    """Pairs of numbers, the least and the greatest of what may be drawn.

    Attributes:
        kind: The kind of both.
    """

    kind: Range

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            return False
        return (
            len(value) == 2
            and all(each in self.kind for each in value)
            and value[0] <= value[1]
        )

    def __str__(self) -> str:
        return f'two numbers, the least and the greatest, each {self.kind}'


@dataclass(frozen=True)
class Text:
    """Texts that are not empty."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return 'a text'


@dataclass(frozen=True)
class Path:
    """Paths and addresses.

    Attributes:
        empty: Whether a path may be empty: the folder that it is relative to.
    """

    empty: bool = False

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, str):
            return False
        return (self.empty or bool(value)) and ('://' in value or _can_be_a_file(value))

    def __str__(self) -> str:
        return f'a path, each name of at most {LONGEST_NAME} bytes'


@dataclass(frozen=True)
class Switch:
    """True and False; a word such as 'no' would count as yes."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, bool)

    def __str__(self) -> str:
        return 'True or False'


@dataclass(frozen=True)
class Choice:
    """A few words.

    Attributes:
        words: The words.
    """

    words: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value in self.words

    def __str__(self) -> str:
        return f'one of {", ".join(map(repr, self.words))}'


@dataclass(frozen=True)
class ListOf:
    """Lists.

    Attributes:
        kind: The kind of their elements.
        empty: Whether a list may be empty.
    """

    kind: Kind
    empty: bool = True

    def __contains__(self, value: object) -> bool:
        return isinstance(value, Sequence) and not isinstance(value, (str, bytes))

    def __str__(self) -> str:
        return 'a list'


@dataclass(frozen=True)
class Fields:
    """Dicts.

    Attributes:
        kinds: The keys that they may have, and the kind of each value; None if any.
        required: Keys that they must have.
    """

    kinds: Mapping[str, Kind] | None = field(default=None, hash=False)
    required: tuple[str, ...] = ()

    def __contains__(self, value: object) -> bool:
        return isinstance(value, Mapping)

    def __str__(self) -> str:
        return 'a dict'


@dataclass(frozen=True)
class Numbered:
    """Dicts of whole numbers by name."""

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, Mapping) or not value:
            return False
        return all(isinstance(name, str) and name for name in value) and all(
            each in COUNT for each in value.values()
        )

    def __str__(self) -> str:
        return 'a dict of whole numbers by name'


@dataclass(frozen=True)
class Either:
    """Values of one of several kinds.

    Attributes:
        kinds: The kinds.
    """

    kinds: tuple[Kind, ...]

    def __contains__(self, value: object) -> bool:
        return any(value in kind for kind in self.kinds)

    def __str__(self) -> str:
        return ' or '.join(map(str, self.kinds))


SHARE, NUMBER = Range(0, 1), Range()
POSITIVE = Range(0, inf, open=True)
COUNT, AT_LEAST_ONE = Range(0, whole=True), Range(1, whole=True)
PATH, FOLDER = Path(), Path(empty=True)
SWITCH = Switch()
PREFIX = Fields({'img': FOLDER})
COCO_FILES = Fields(
    {'ann_file': PATH, 'img_root': FOLDER}, required=('ann_file', 'img_root')
)


def errors_of(name: str, value: Any, kind: Kind) -> Iterator[str]:
    """List the errors of a value, a sentence each.

    Args:
        name: What the value is called.
        value: The value.
        kind: What it must be.
    """
    if value not in kind:
        yield f'{name} must be {kind}, got {value!r}'
    elif isinstance(kind, Either):
        fitting = next(each for each in kind.kinds if value in each)
        yield from errors_of(name, value, fitting)
    elif isinstance(kind, ListOf):
        yield from _errors_of_list(name, value, kind)
    elif isinstance(kind, Fields):
        yield from _errors_of_fields(name, value, kind)


def unknown_key(name: str, key: str, known: Iterable[str]) -> str:
    """The sentence about a key that nothing is called by.

    Args:
        name: What has the key.
        key: The key.
        known: The right ones.
    """
    near = get_close_matches(key, known, n=1)
    if near:
        return f'{name} has no {key}; did you mean {near[0]}?'
    return f'{name} has no {key}, only {", ".join(known)}'


def _errors_of_list(name: str, values: Sequence[Any], kind: ListOf) -> Iterator[str]:
    if not values and not kind.empty:
        yield f'{name} must have at least one element, got {values!r}'
    for value in values:
        if value not in kind.kind:
            yield f'each of {name} must be {kind.kind}, got {value!r}'
            return


def _errors_of_fields(
    name: str, value: Mapping[str, Any], kind: Fields
) -> Iterator[str]:
    for key in kind.required:
        if key not in value:
            yield f'{name} must state its {key}, got {dict(value)!r}'
    if kind.kinds is None:
        return
    for key, inner in value.items():
        if key not in kind.kinds:
            yield unknown_key(name, str(key), kind.kinds)
        elif inner is not None:  # it has its default
            yield from errors_of(f'{name}.{key}', inner, kind.kinds[key])


def _can_be_a_file(path: str) -> bool:
    """Whether the system takes a path for one, so that it can be looked for."""
    try:
        names = os.fsencode(path).split(os.sep.encode())
    except UnicodeEncodeError:
        return False
    return b'\0' not in b''.join(names) and max(map(len, names)) <= LONGEST_NAME


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:
        return False
