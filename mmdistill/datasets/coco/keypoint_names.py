"""Comparison of the keypoint names of a json with those of a config."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mmdistill.errors import DataError

SIDES = {'l': 'left', 'r': 'right'}
MAX_LISTED = 3
"""Maximum number of names listed in a message."""


def compare_names(path: Path, names: Any, expected: Sequence[str]) -> str:
    """Compare the keypoint names of a category with the config's, in any spelling.

    Names that are only numbered (`kpt-1`, `kpt-2`, ...) carry no order.

    Args:
        path: The json, for messages.
        names: Its names; anything but a list as long as the config's is ignored.
        expected: Keypoint names of the config, in order, (K,).

    Returns:
        A sentence about names that the config does not have, or an empty string.

    Raises:
        UserError: If a keypoint of the config is at another position.
    """
    if not isinstance(names, list) or len(names) != len(expected):
        return ''
    if _are_numbered(names) or _are_numbered(expected):
        return ''
    json_words, config_words = [_words(n) for n in names], [_words(n) for n in expected]
    for number, (name_words, expected_words) in enumerate(
        zip(json_words, config_words, strict=True)
    ):
        if name_words != expected_words and config_words.count(name_words) == 1:
            raise DataError(
                f'keypoint {number} of the annotations {path} is {names[number]!r}, '
                f'that of the config {expected[number]!r}: the order differs; '
                'give the data set metainfo with keypoint_info in the order of the '
                f'json, {names}'
            )
    unknown = [
        str(n)
        for n, words in zip(names, json_words, strict=True)
        if words not in config_words
    ]
    if not unknown:
        return ''
    listed = ', '.join(unknown[:MAX_LISTED]) + ', …' * (len(unknown) > MAX_LISTED)
    return (
        f'{len(unknown)} names of keypoints are not those of the config ({listed}): '
        'their order is assumed to be the same'
    )


def same_names(names: Any, expected: Sequence[str]) -> bool:
    """Whether names are those of the config, in order and in any spelling.

    Args:
        names: Anything, as a json has it.
        expected: Keypoint names of the config, in order, (K,).

    >>> same_names(['Nose', 'LeftEye'], ['nose', 'eye_l'])
    True
    """
    if not isinstance(names, list) or len(names) != len(expected):
        return False
    return [*map(_words, names)] == [*map(_words, expected)]


def _words(name: Any) -> tuple[str, ...]:
    """Words of a name in any spelling: equal for `LeftEye`, `eye_l` and `left eye`."""
    spaced = re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', str(name))
    words = re.split(r'[\W_]+', spaced.casefold())
    return tuple(sorted(SIDES.get(word, word) for word in words if word))


def _are_numbered(names: Sequence[Any]) -> bool:
    """Whether names differ only by consecutive numbers."""
    digits = [re.findall(r'[0-9]{1,9}', str(name)) for name in names]
    if len(names) < 2 or any(len(numbers) != 1 for numbers in digits):
        return False
    if len({re.sub('[0-9]+', '', str(name)) for name in names}) > 1:
        return False
    numbers = [int(number) for (number,) in digits]
    return all(b - a == 1 for a, b in pairwise(numbers))
