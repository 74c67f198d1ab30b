"""Kinds of values that the `distill` section of a config may state, key by key."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any, Protocol

from mmdistill.config.renamed import renamed_key
from mmdistill.errors import UserError

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
class Anything:
    """Every value; the part that takes it checks it."""

    def __contains__(self, value: object) -> bool:
        return True

    def __str__(self) -> str:
        return 'anything'


SHARE, NUMBER = Range(0, 1), Range()
POSITIVE = Range(0, inf, open=True)
COUNT, AT_LEAST_ONE = Range(0, whole=True), Range(1, whole=True)
PATH, FOLDER = Path(), Path(empty=True)
PREFIX = Fields({'img': FOLDER})
LABELED_FILES: dict[str, Kind] = {
    'data_root': FOLDER,
    'data_prefix': PREFIX,
    'ann_file': PATH,
    'bbox_file': PATH,
}
SECTION: dict[str, Kind] = {
    'teacher': Fields({'checkpoint': PATH, 'config': PATH}),
    'unlabeled': Fields(
        {
            'data_root': FOLDER,
            'data_prefix': PREFIX,
            'ann_file': FOLDER,
            'bbox_file': FOLDER,
            'category_ids': ListOf(Range(whole=True), empty=False),
            'max_boxes': AT_LEAST_ONE,
            'max_pixels': AT_LEAST_ONE,
            'sources': ListOf(Fields(), empty=False),
            'detections': PATH,
            'follow': Fields({'padding': Range(1), 'score_thr': SHARE}),
            'hidden': Switch(),
        }
    ),
    'store': PATH,
    'views': Fields(
        {
            'scales': ListOf(POSITIVE, empty=False),
            'flip': Switch(),
            'aspect_ratios': ListOf(POSITIVE),
            'rotations': ListOf(NUMBER),
            'fusion': Choice(('mean', 'max')),
            'size_dependent': Switch(),
            'small_area': Range(0),
            'large_area': Range(0),
            'forward_batch_size': AT_LEAST_ONE,
            'channels_last': Switch(),
            'fold_batch_norm': Switch(),
            'precision': Choice(('float32', 'bfloat16', 'float16')),
            'compile': Switch(),
        }
    ),
    'labeling': Fields(
        {
            'batch_size': AT_LEAST_ONE,
            'num_workers': COUNT,
            'chunk_size': AT_LEAST_ONE,
            'score_floor': NUMBER,
            'nms_thr': SHARE,
            'max_failures': SHARE,
            'refit_boxes': Switch(),
        }
    ),
    'selection': Fields(
        {
            key: Anything()
            for key in (
                *('labeled_images', 'group_by', 'categories', 'criterion'),
                *('min_thr', 'max_thr'),
                *('keypoint_thr', 'score_thr'),
            )
        }
    ),
    'labeled': Fields(required=('type',)),
    'mixing': Fields(
        {
            'labeled_share': Range(0, 1, open=True),
            'source_ratio': ListOf(POSITIVE),
            'num_batches': AT_LEAST_ONE,
            'pseudo_weight': Range(0),
            'score_thr': NUMBER,
            'keypoint_thr': NUMBER,
        }
    ),
    'schedule': Fields(
        {
            'max_factor': Range(1),
            'milestones': ListOf(Range(0, 1, open=True)),
        }
    ),
    'audit': Fields(LABELED_FILES),
    'leak_guard': Switch(),
    'detector': Fields(
        {
            'config': PATH,
            'checkpoint': PATH,
            'categories': ListOf(Text(), empty=False),
            'score_thr': SHARE,
            'nms_thr': SHARE,
            'tta': Switch(),
            'boxes': PATH,
            'batch_size': AT_LEAST_ONE,
            'num_workers': COUNT,
            'chunk_size': AT_LEAST_ONE,
        }
    ),
}
"""What the `distill` section may state."""


def check_values(section: Mapping[str, Any]) -> None:
    """Refuse what would stop a stage, before the first one runs.

    Args:
        section: The `distill` section.

    Raises:
        UserError: If a key is unknown, or a value is not of its kind.
    """
    _check('distill', section, Fields(SECTION))


def normalize(section: Any) -> None:
    """Remove what is None, which has its default then, and write paths as texts.

    Args:
        section: A section of a config, changed in place as deep as it states dicts;
            the data set in `labeled` stays as it is.
    """
    for key, value in list(section.items()):
        if value is None:
            del section[key]
        elif isinstance(value, os.PathLike):
            section[key] = os.fspath(value)
        elif isinstance(value, dict) and key != 'labeled':
            normalize(value)


def _check(name: str, value: Any, kind: Kind) -> None:
    if value not in kind:
        raise UserError(f'{name} must be {kind}, got {value!r}')
    if isinstance(kind, ListOf):
        _check_list(name, value, kind)
    elif isinstance(kind, Fields):
        _check_fields(name, value, kind)


def _check_list(name: str, values: Sequence[Any], kind: ListOf) -> None:
    if not values and not kind.empty:
        raise UserError(f'{name} must have at least one element, got {values!r}')
    for value in values:
        if value not in kind.kind:
            raise UserError(f'each of {name} must be {kind.kind}, got {value!r}')


def _check_fields(name: str, value: Mapping[str, Any], kind: Fields) -> None:
    kinds = kind.kinds
    for key in kind.required:
        if key not in value:
            raise UserError(f'{name} must state its {key}, got {dict(value)!r}')
    if kinds is None:
        return
    unknown = sorted(map(str, set(value) - set(kinds)))
    for key in unknown:
        sentence = renamed_key(f'{name}.{key}', value.get(key))
        if sentence:
            raise UserError(sentence)
    if unknown:
        raise UserError(f'{name} has no {unknown[0]}, only {", ".join(kinds)}')
    for key, inner in value.items():
        if inner is not None:  # it has its default
            _check(f'{name}.{key}', inner, kinds[key])


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
