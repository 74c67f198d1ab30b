"""Whether the boxes and keypoints of a json lie where they can.

Points as shares of the image, boxes as corners or around their center, x and y
exchanged: MMPose trains on each without a word. What they have in common is that a
box does not hold its own points, or only when it is read in another form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.errors import UserError
from mmdistill.functional.boxes import Size

SLACK = 0.1
"""Of a box's side (and a pixel), by which points may lie beyond it."""
HELD = 0.5
"""Share of its visible points that a box holds at least."""
MOST_HELD = 0.8
"""Share of all visible points that boxes of another form hold at most."""
OTHER_FORM = 0.95
"""Share of annotations that fit a form of boxes, from which on it is the file's."""
FEWEST = 4
"""Annotations that corners are told from."""
AWAY = 0.5
"""Of the right or lower number of a box, how far from the image's corner its left or
upper one is, from which on corners can be told from a width and a height."""
NAMED = 3

Form = Callable[[np.ndarray], np.ndarray]
"""Corners (x1, y1, x2, y2) of four numbers that may be a box, both (M, 4)."""


@dataclass(frozen=True)
class AnnotatedPoints:
    """Where annotations of one file have their points and boxes.

    Attributes:
        ids: Their ids, (M,).
        boxes: The four numbers of each box, (M, 4).
        points: x and y of the keypoints, (M, K, 2).
        visible: Which of them are visible, (M, K).
        sizes: Width and height of their images, (M, 2).
    """

    ids: tuple[Any, ...]
    boxes: np.ndarray
    points: np.ndarray
    visible: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(
        cls, annotations: Sequence[Mapping[str, Any]], sizes: Mapping[int, Size]
    ) -> AnnotatedPoints:
        """Collect what annotations say that are in form and train."""
        keypoints = np.array([a['keypoints'] for a in annotations], dtype=np.float64)
        keypoints = keypoints.reshape(len(annotations), -1, 3)
        return cls(
            tuple(a['id'] for a in annotations),
            np.array([a['bbox'] for a in annotations], dtype=np.float64),
            keypoints[:, :, :2],
            keypoints[:, :, 2] > 0,
            np.array([sizes[a['image_id']] for a in annotations], dtype=np.float64),
        )

    def inside(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Which points lie between two corners of each annotation, (M, K)."""
        inside = (self.points >= low[:, None]) & (self.points <= high[:, None])
        return inside.all(axis=2) & self.visible

    def held(self, corners: np.ndarray) -> np.ndarray:
        """Share of the visible points that lie in a box, by its corners, (M,)."""
        slack = SLACK * (corners[:, 2:] - corners[:, :2]) + 1
        inside = self.inside(corners[:, :2] - slack, corners[:, 2:] + slack)
        return inside.sum(axis=1) / self.visible.sum(axis=1)


def check_coordinates(
    path: Path, annotations: Sequence[Mapping[str, Any]], sizes: Mapping[int, Size]
) -> list[str]:
    """Make sure that boxes hold their points, as x, y, width and height in pixels.

    Args:
        path: The json, for the sentences.
        annotations: Those that are in form and train.
        sizes: Width and height of the images by their ids.

    Returns:
        Sentences about single annotations whose points may be in a wrong place.

    Raises:
        UserError: If most of the annotations are in another form.
    """
    if not annotations:
        return []
    places = AnnotatedPoints.of(annotations, sizes)
    _refuse_shares(path, places)
    held = places.held(_xywh(places.boxes))
    other = _are_corners(places) or _are_centered(places, held)
    if (held < HELD).mean() > 0.5 or other:
        raise UserError(_sentence(path, places, held))
    return [
        *_empty_boxes(places, held),
        *_points_off(places),
        *_repeated(annotations),
    ]


def _repeated(annotations: Sequence[Mapping[str, Any]]) -> list[str]:
    """Instances with the points of another of their image: one, listed twice."""
    seen: set[tuple[Any, ...]] = set()
    again = []
    for annotation in annotations:
        points = annotation['image_id'], *annotation['keypoints']
        if points in seen:
            again.append(annotation['id'])
        seen.add(points)
    if not again:
        return []
    return [
        f'{len(again)} annotations have exactly the points of another of their image '
        f'({_some(again)}): each counts, also where it is one instance listed twice'
    ]


def _refuse_shares(path: Path, places: AnnotatedPoints) -> None:
    """Refuse keypoints that are shares of the image's width and height."""
    largest = np.where(places.visible[..., None], places.points, -np.inf).max((1, 2))
    shares = (largest <= 1) & (places.sizes.min(axis=1) > 4)
    if shares.mean() > 0.5:
        first = int(np.argmax(shares))
        raise UserError(
            f'the keypoints of {int(shares.sum())} of {len(shares)} annotations of '
            f'{path} lie within 0 and 1, the first is {places.ids[first]!r}: they must '
            'be pixels of the image; multiply them by its width and height'
        )


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _centered(boxes: np.ndarray) -> np.ndarray:
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _are_corners(places: AnnotatedPoints) -> bool:
    """Whether boxes are corners: these hold all points, though far from (0, 0)."""
    low, high = places.boxes[:, :2], places.boxes[:, 2:]
    hold = (places.held(places.boxes) == 1) & (high > low).all(axis=1)
    away = (low >= AWAY * high).any(axis=1)
    enough = len(hold) >= FEWEST and hold.mean() >= OTHER_FORM
    return bool(enough and away.mean() >= 0.5)


def _are_centered(places: AnnotatedPoints, held: np.ndarray) -> bool:
    """Whether boxes hold all points around their center, and miss some otherwise."""
    better = places.held(_centered(places.boxes)).mean() >= OTHER_FORM
    return bool(len(held) >= FEWEST and better and held.mean() < MOST_HELD)


def _sentence(path: Path, places: AnnotatedPoints, held: np.ndarray) -> str:
    sides = np.tile(places.sizes, 2)
    forms: dict[str, Form] = {
        'they look like corners [x1, y1, x2, y2]': lambda boxes: boxes,
        'they look like [center x, center y, width, height]': _centered,
        'they look like shares of the width and height of the image': (
            lambda boxes: _xywh(boxes * sides)
        ),
        'they look like percentages of the width and height of the image': (
            lambda boxes: _xywh(boxes * sides / 100)
        ),
    }
    fits = {
        words: float(places.held(form(places.boxes)).mean())
        for words, form in forms.items()
    }
    looks = max(fits, key=lambda words: fits[words])
    hint = looks if fits[looks] >= OTHER_FORM else 'or x and y may be exchanged'
    wrong = int((held < HELD).sum())
    what = (
        f'{wrong} of {len(held)} boxes of {path} hold less than half of their '
        'visible keypoints'
        if wrong > len(held) / 2
        else f'the boxes of {path} are in another form'
    )
    box = [float(number) for number in places.boxes[0]]
    return (
        f'{what}: a bbox must be [x, y, width, height], and it and the keypoints '
        f'pixels of the image; {hint}, as {box} of annotation {places.ids[0]!r}'
    )


def _empty_boxes(places: AnnotatedPoints, held: np.ndarray) -> list[str]:
    few = np.flatnonzero(held < HELD)
    if not len(few):
        return []
    return [
        f'{len(few)} boxes hold less than half of their visible keypoints '
        f'({_named(places, few)})'
    ]


def _points_off(places: AnnotatedPoints) -> list[str]:
    """Visible points where tools put those that are missing: the corner, or outside."""
    none = np.zeros_like(places.sizes)
    off = places.visible & ~places.inside(none, places.sizes)
    off |= places.visible & (places.points == 0).all(axis=2)
    owners = np.flatnonzero(off.any(axis=1))
    if not len(owners):
        return []
    return [
        f'{int(off.sum())} visible keypoints lie at (0, 0) or off their image '
        f'({_named(places, owners)}); a missing one must have the visibility 0'
    ]


def _named(places: AnnotatedPoints, rows: np.ndarray) -> str:
    return _some([places.ids[row] for row in rows])


def _some(ids: Sequence[Any]) -> str:
    named = ', '.join(map(str, ids[:NAMED]))
    return f'id {named}' + ', …' * (len(ids) > NAMED)
