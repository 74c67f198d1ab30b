"""Names of the keypoints of a json beside those of a config."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mmdistill.errors import UserError

SIDES = {'l': 'left', 'r': 'right'}
NAMED = 3
"""Names that a sentence shows."""


def compare_names(path: Path, names: Any, wanted: Sequence[str]) -> str:
    """Compare the names of a category with the config's, however they are spelled.

    Names that only count (`kpt-1`, `kpt-2`, ...) say nothing about the order.

    Args:
        path: The json, for the sentence.
        names: The names that it states; anything but a list of as many texts as the
            config has says nothing.
        wanted: Names of the config's keypoints, in their order, (K,).

    Returns:
        A sentence about names that the config does not have, or an empty text.

    Raises:
        UserError: If a keypoint of the config stands at another position.
    """
    if not isinstance(names, list) or len(names) != len(wanted):
        return ''
    if _only_count(names) or _only_count(wanted):
        return ''
    theirs, ours = [_words(n) for n in names], [_words(n) for n in wanted]
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if their != our and ours.count(their) == 1:
            raise UserError(
                f'keypoint {number} of the annotations {path} is {names[number]!r}, '
                f'that of the config {wanted[number]!r}: they stand in another order; '
                'give the data set metainfo with keypoint_info in the order of the '
                f'json, {names}'
            )
    unknown = [
        str(n) for n, words in zip(names, theirs, strict=True) if words not in ours
    ]
    if not unknown:
        return ''
    shown = ', '.join(unknown[:NAMED]) + ', …' * (len(unknown) > NAMED)
    return (
        f'{len(unknown)} names of keypoints are not those of the config ({shown}): '
        'they are taken to stand in its order'
    )


def _words(name: Any) -> tuple[str, ...]:
    """Words of a name in any spelling: `LeftEye`, `eye_l` and `left eye` are one."""
    parted = re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', ' ', str(name))
    words = re.split(r'[\W_]+', parted.casefold())
    return tuple(sorted(SIDES.get(word, word) for word in words if word))


def _only_count(names: Sequence[Any]) -> bool:
    """Whether names differ by their numbers alone, each one more than the last."""
    digits = [re.findall(r'[0-9]{1,9}', str(name)) for name in names]
    if len(names) < 2 or any(len(each) != 1 for each in digits):
        return False
    if len({re.sub('[0-9]+', '', str(name)) for name in names}) > 1:
        return False
    numbers = [int(number) for (number,) in digits]
    return all(b - a == 1 for a, b in pairwise(numbers))
