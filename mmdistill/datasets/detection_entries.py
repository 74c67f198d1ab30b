"""Entries of a detection json in MMPose's `bbox_file` form, read with a strict eye."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdistill.errors import DataError, shortened
from mmdistill.functional.boxes import is_real
from mmdistill.utils.files import read_json

FORM = '{image_id, category_id, bbox: [x, y, width, height], score}'
FARTHEST = 1e6
"""Pixels from the image's corner that no box reaches."""
ROUNDING = 1e-4
"""By which a score may exceed 1: detectors give scores in half precision."""
LARGEST_CATEGORY = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Detection:
    """One box.

    Attributes:
        image_id: Id or path of its image.
        category_id: Its category; 1 where none is stated.
        bbox: x, y, width and height, pixels of the image.
        score: From 0 to 1.
        file_name: File of its image, if the file states one.
    """

    image_id: int | str
    category_id: int
    bbox: tuple[float, ...]
    score: float
    file_name: str


def read_detections(path: Path) -> list[Detection]:
    """Read the boxes of a detection file.

    Args:
        path: The json: a list of `image_id`, `category_id`, `bbox` and `score`.

    Raises:
        UserError: If it has another form or a number that no detector gives; the
            sentence names the entry.
    """
    entries = read_json(path, 'the detection file')
    if not isinstance(entries, list):
        hint = ''
        if isinstance(entries, dict) and 'annotations' in entries:
            hint = '; tools/make_boxes.py makes one of true boxes'
        raise DataError(
            f'the detection file {path} must be a list of {FORM}, got a '
            f'{type(entries).__name__}{hint}'
        )
    return [_read(path, number, entry) for number, entry in enumerate(entries)]


def _read(path: Path, number: int, entry: Any) -> Detection:
    where = f'entry {number} of the detection file {path}'
    if not isinstance(entry, Mapping):
        raise DataError(f'{where} must be {FORM}, got {shortened(entry)}')
    file_name = entry.get('file_name')
    return Detection(
        _image_id(where, entry.get('image_id')),
        _category_id(where, entry),
        _box(where, entry.get('bbox')),
        _score(where, entry.get('score')),
        file_name if isinstance(file_name, str) else '',
    )


def _image_id(where: str, value: Any) -> int | str:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise DataError(
            f'{where} must name its image by a number or a path, got the image_id '
            f'{shortened(value)}'
        )
    return value


def _category_id(where: str, entry: Mapping[str, Any]) -> int:
    value = entry.get('category_id', 1)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or abs(value) > LARGEST_CATEGORY:
        raise DataError(
            f'{where} must have a whole number as category_id, got {shortened(value)}'
        )
    return value


def _box(where: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_real, value)):
        raise DataError(
            f'{where} must have a bbox of four numbers, x, y, width and height, got '
            f'{shortened(value)}'
        )
    if not all(-FARTHEST < number < FARTHEST for number in value):
        raise DataError(
            f'{where} must have a bbox of finite numbers of pixels, below '
            f'{FARTHEST:g}, got {shortened(value)}'
        )
    return tuple(map(float, value))


def _score(where: str, value: Any) -> float:
    if not is_real(value):
        raise DataError(f'{where} must have a number as score, got {shortened(value)}')
    if not 0 <= value <= 1 + ROUNDING:
        hint = ''
        if 1 < value <= 100:
            hint = '; divide percentages by 100'
        elif value < 0:
            hint = '; of logits take the sigmoid'
        raise DataError(
            f'{where} must have a score from 0 to 1, got {shortened(value)}{hint}'
        )
    return min(float(value), 1.0)
