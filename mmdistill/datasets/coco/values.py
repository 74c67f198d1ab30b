"""Numbers of a COCO json as labeling tools write them: as text, true and false.

Tools that go through CSV quote numbers, and FiftyOne writes the `visible` of a
keypoint as it stands in its data set, often as true or false.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from mmdistill.functional.boxes import is_number, is_real

AS_TEXT = 'numbers written as text'
AS_FLAGS = 'visibilities written as true or false'

VISIBLE, MISSING = 2, 0
OTHER_NUMBER = 'have another number of keypoints than the config'
NOT_NUMBERS = 'have keypoints that are not numbers'


def parse_keypoints(
    keypoints: Any, num_keypoints: int | None, changes: Counter[str]
) -> tuple[list[list[float]] | None, str]:
    """Parse the keypoints of an annotation.

    Args:
        keypoints: Anything, as the json has it.
        num_keypoints: Number of keypoints K that the config has; None for any.
        changes: Counts of normalizations.

    Returns:
        x, y and visibility of each keypoint, each a finite number, (K, 3); or None,
        and why they cannot be trained on.

    >>> parse_keypoints([3, 4, 0.7, None, None, None], 2, Counter())[0]
    [[3, 4, 1], [0, 0, 0]]
    >>> parse_keypoints([3, 4, 2], 2, Counter())
    (None, 'have another number of keypoints than the config')
    """
    if isinstance(keypoints, list) and all(
        isinstance(value, list) for value in keypoints
    ):
        keypoints = [number for point in keypoints for number in point]
        changes['nested keypoints made flat'] += 1
    if not isinstance(keypoints, list):
        return None, NOT_NUMBERS
    if num_keypoints is None:
        num_keypoints = len(keypoints) // 3
    if len(keypoints) != 3 * num_keypoints:
        return None, OTHER_NUMBER
    keypoints = _plain_keypoints(keypoints, changes)
    if not all(value is None or is_real(value) for value in keypoints):
        return None, NOT_NUMBERS
    points = []
    for start in range(0, len(keypoints), 3):
        x, y, visibility = keypoints[start : start + 3]
        if not all(map(is_number, (x, y, visibility))):
            x, y, visibility = 0, 0, 0
            changes['keypoints without finite numbers made invisible'] += 1
        elif visibility < 0 or 0 < visibility < 1:
            # A fractional visibility would train towards an empty heatmap.
            visibility = int(visibility >= 0.5)
            changes['visibilities rounded'] += 1
        points.append([x, y, min(visibility, 2)])
    return points, ''


def plain_numbers(values: list[Any], changes: Counter[str]) -> list[Any]:
    """Convert numbers that are written as text; all else is returned unchanged.

    Args:
        values: Values of a json, as a box.
        changes: Counts of normalizations; a list with such numbers counts once.

    >>> plain_numbers(['3', 4.5, 'a'], Counter())
    [3.0, 4.5, 'a']
    """
    converted = [_number(value) for value in values]
    changes[AS_TEXT] += any(isinstance(value, str) for value in values) and not any(
        isinstance(value, str) for value in converted
    )
    changes += Counter()  # drops zero counts
    return converted


def _plain_keypoints(keypoints: list[Any], changes: Counter[str]) -> list[Any]:
    """Convert numbers that are text, and visibilities that are true or false.

    True means visible, false missing.
    """
    flags = [isinstance(value, bool) for value in keypoints]
    if any(flags[2::3]):
        changes[AS_FLAGS] += 1
        keypoints = [
            (VISIBLE if value else MISSING) if flag and place % 3 == 2 else value
            for place, (value, flag) in enumerate(zip(keypoints, flags, strict=True))
        ]
    return plain_numbers(keypoints, changes)


def _number(value: Any) -> Any:
    if not isinstance(value, str) or '_' in value:
        return value
    try:
        return float(value)
    except ValueError:
        return value
