"""Whether the boxes and keypoints of a json lie where they can.

Points as shares of the image, boxes as corners or around their center, x and y
exchanged: MMPose trains on each without a word. What they have in common is that a
box does not hold its own points, or only when it is read in another form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmdistill.errors import DataError
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
"""Annotations from which on corners are recognized."""
AWAY = 0.1
"""Of the right or lower number of a box, how far from the image's corner its left or
upper one is, from which on corners differ from a width and a height."""
BETTER = 0.75
"""Share of annotations whose points are nearer to the middle of a box of corners."""
NEARER = 0.5
"""Of the distance of points from the middle of a box, what is left of it in a box of
the form that a file has."""
HULL = 0.05
"""Pixels by which a box may differ from the extent of its points that it is."""
PERCENT = 100
NAMED = 3

Fit = Callable[['AnnotatedPoints'], np.ndarray]
"""Share of the visible points that boxes hold in a form that they may have, (M,)."""


@dataclass(frozen=True)
class AnnotatedPoints:
    """Points and boxes of the annotations of one file.

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
        """Collect points and boxes of annotations.

        Args:
            annotations: Those that are in form and train, M with K keypoints each.
            sizes: Width and height of the images by their ids, pixels.
        """
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
        """Find the visible points that lie between two corners of each annotation.

        Args:
            low: Upper left corners, (M, 2).
            high: Lower right corners, (M, 2).

        Returns:
            Mask of those points, (M, K), bool.
        """
        inside = (self.points >= low[:, None]) & (self.points <= high[:, None])
        return inside.all(axis=2) & self.visible

    def held(self, corners: np.ndarray) -> np.ndarray:
        """Compute the share of the visible points that lie in a box or close to it.

        Args:
            corners: Boxes (x1, y1, x2, y2), (M, 4).

        Returns:
            Shares, (M,).
        """
        slack = SLACK * np.maximum(corners[:, 2:] - corners[:, :2], 0) + 1
        inside = self.inside(corners[:, :2] - slack, corners[:, 2:] + slack)
        return inside.sum(axis=1) / self.visible.sum(axis=1)

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper left and lower right corner of the visible points, both (M, 2)."""
        shown = self.visible[..., None]
        low = np.where(shown, self.points, np.inf).min(axis=1)
        return low, np.where(shown, self.points, -np.inf).max(axis=1)

    def off_middle(self, corners: np.ndarray) -> np.ndarray:
        """Compute the distance of the points' middle from a box's.

        Args:
            corners: Boxes (x1, y1, x2, y2), (M, 4).

        Returns:
            Distances along each axis as shares of the box's sides, (M, 2).
        """
        low, high = self.extent()
        sides = np.maximum(corners[:, 2:] - corners[:, :2], 1e-6)
        middle = (corners[:, :2] + corners[:, 2:]) / 2
        return np.abs((low + high) / 2 - middle) / sides


def check_coordinates(
    path: Path, annotations: Sequence[Mapping[str, Any]], sizes: Mapping[int, Size]
) -> list[str]:
    """Make sure that boxes hold their points, as x, y, width and height in pixels.

    Args:
        path: The json, for the sentences.
        annotations: Those that are in form and train.
        sizes: Width and height of the images by their ids.

    Returns:
        Sentences about single annotations whose points may be misplaced.

    Raises:
        DataError: If most of the annotations are in another form.
    """
    if not annotations:
        return []
    annotated = AnnotatedPoints.of(annotations, sizes)
    _refuse_shares(path, annotated)
    held = annotated.held(_xywh(annotated.boxes))
    form = None
    if _are_corners(annotated):
        form = CORNERS
    elif _are_centered(annotated, held):
        form = CENTERED
    if form or (held < HELD).mean() > 0.5:
        raise DataError(_sentence(path, annotated, held, form or _best_form(annotated)))
    return [
        *_small_numbers(annotated),
        *_empty_boxes(annotated, held),
        *_points_off(annotated),
        *_hulls(annotated),
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


def _refuse_shares(path: Path, annotated: AnnotatedPoints) -> None:
    """Refuse keypoints that are shares of the image's width and height."""
    shown = np.where(annotated.visible[..., None], annotated.points, -np.inf)
    largest = shown.max(axis=(1, 2))
    shares = (largest <= 1) & (annotated.sizes.min(axis=1) > 4)
    if shares.mean() > 0.5:
        first = int(np.argmax(shares))
        raise DataError(
            f'the keypoints of {int(shares.sum())} of {len(shares)} annotations of '
            f'{path} lie within 0 and 1, the first is {annotated.ids[first]!r}: they '
            'must be pixels of the image; multiply them by its width and height'
        )


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _centered(boxes: np.ndarray) -> np.ndarray:
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _are_corners(annotated: AnnotatedPoints) -> bool:
    """Whether boxes are corners, by comparing both readings.

    Corners that are read as x, y, width and height are boxes that reach too far to the
    right and down, beyond the image or far beyond the points; read as corners, they
    have the points around their middle.
    """
    low, high = annotated.boxes[:, :2], annotated.boxes[:, 2:]
    valid = (high > low).all(axis=1)
    hold = annotated.held(annotated.boxes).mean()
    if valid.mean() < OTHER_FORM or hold < OTHER_FORM:
        return False
    slack = SLACK * high + 1
    leave = (low + high > annotated.sizes + slack).any(axis=1)
    stay = ((high <= annotated.sizes + slack) & (low >= -slack)).all(axis=1)
    if stay.mean() >= OTHER_FORM and leave.mean() >= 0.5:
        return len(leave) >= FEWEST or bool(leave.all())
    return _are_around_middle(annotated, valid)


def _are_around_middle(annotated: AnnotatedPoints, valid: np.ndarray) -> bool:
    """Whether points lie around the middle of corners, and elsewhere otherwise.

    Where corners are close to that of the image both readings are nearly the same, and
    show nothing.
    """
    differ = (annotated.boxes[:, :2] >= AWAY * annotated.boxes[:, 2:]) & valid[:, None]
    as_corners = annotated.off_middle(annotated.boxes)
    as_extents = annotated.off_middle(_xywh(annotated.boxes))
    nearer = []
    for axis in (0, 1):
        rows = differ[:, axis]
        if rows.sum() < FEWEST:
            continue
        here, there = as_corners[rows, axis], as_extents[rows, axis]
        if (here < there).mean() < BETTER:
            return False
        nearer.append(np.median(here) <= NEARER * np.median(there))
    return any(nearer)


def _are_centered(annotated: AnnotatedPoints, held: np.ndarray) -> bool:
    """Whether boxes hold all points around their center, and miss some otherwise."""
    better = annotated.held(_centered(annotated.boxes)).mean() >= OTHER_FORM
    return bool(len(held) >= FEWEST and better and held.mean() < MOST_HELD)


def _held_in(form: Callable[[AnnotatedPoints], np.ndarray]) -> Fit:
    return lambda annotated: annotated.held(form(annotated))


def _held_scaled(factor: float) -> Fit:
    """Keypoints in another unit: of the image's sides, `factor` is one."""

    def fit(annotated: AnnotatedPoints) -> np.ndarray:
        points = annotated.points * annotated.sizes[:, None] / factor
        return replace(annotated, points=points).held(_xywh(annotated.boxes))

    return fit


def _held_exchanged(annotated: AnnotatedPoints) -> np.ndarray:
    points = annotated.points[..., ::-1]
    return replace(annotated, points=points).held(_xywh(annotated.boxes))


CORNERS = 'the boxes look like corners [x1, y1, x2, y2]'
CENTERED = 'the boxes look like [center x, center y, width, height]'
FORMS: Mapping[str, Fit] = {
    CORNERS: _held_in(lambda p: p.boxes),
    CENTERED: _held_in(lambda p: _centered(p.boxes)),
    'the boxes look like shares of the width and height of the image': _held_in(
        lambda p: _xywh(p.boxes * np.tile(p.sizes, 2))
    ),
    'the boxes look like percentages of the width and height of the image': _held_in(
        lambda p: _xywh(p.boxes * np.tile(p.sizes, 2) / 100)
    ),
    'the keypoints look like shares of the width and height of the image': (
        _held_scaled(1)
    ),
    'the keypoints look like percentages of the width and height of the image': (
        _held_scaled(100)
    ),
    'x and y of the keypoints look exchanged': _held_exchanged,
}
"""Possible errors of all annotations of a file, by the words for them."""


def _best_form(annotated: AnnotatedPoints) -> str:
    """Words for the form in which boxes hold their points; empty if there is none."""
    fits = {words: float(fit(annotated).mean()) for words, fit in FORMS.items()}
    best = max(fits, key=lambda words: fits[words])
    return best if fits[best] >= OTHER_FORM else ''


def _sentence(
    path: Path, annotated: AnnotatedPoints, held: np.ndarray, form: str
) -> str:
    low, high = (corner[0].round(2).tolist() for corner in annotated.extent())
    shown = (
        f'annotation {annotated.ids[0]!r} has the bbox '
        f'{annotated.boxes[0].tolist()} and visible keypoints from {low} to {high} on '
        f'an image of {annotated.sizes[0].astype(int).tolist()}'
    )
    wrong = int((held < HELD).sum())
    what = (
        f'{wrong} of {len(held)} boxes of {path} hold less than half of their '
        'visible keypoints'
        if wrong > len(held) / 2
        else f'the boxes of {path} are in another form'
    )
    hint = f'{form}; ' if form else ''
    return (
        f'{what}: a bbox must be [x, y, width, height], and it and the keypoints '
        f'pixels of the image; {hint}{shown}'
    )


def _small_numbers(annotated: AnnotatedPoints) -> list[str]:
    """Boxes and points within 100 on larger images, as percentages are."""
    _, high = annotated.extent()
    largest = max(high.max(), _xywh(annotated.boxes)[:, 2:].max())
    enough = len(high) >= FEWEST and annotated.sizes.min() >= 2 * PERCENT
    if not enough or not PERCENT / 2 < largest <= PERCENT:
        return []
    return [
        f'no box or keypoint lies beyond ({PERCENT}, {PERCENT}), though all images '
        'are larger than twice that: they must be pixels, not percentages'
    ]


def _empty_boxes(annotated: AnnotatedPoints, held: np.ndarray) -> list[str]:
    few = np.flatnonzero(held < HELD)
    if not len(few):
        return []
    return [
        f'{len(few)} boxes hold less than half of their visible keypoints '
        f'({_named(annotated, few)})'
    ]


def _points_off(annotated: AnnotatedPoints) -> list[str]:
    """Visible points where tools put those that are missing: the corner, or outside."""
    none = np.zeros_like(annotated.sizes)
    off = annotated.visible & ~annotated.inside(none, annotated.sizes)
    off |= annotated.visible & (annotated.points == 0).all(axis=2)
    owners = np.flatnonzero(off.any(axis=1))
    if not len(owners):
        return []
    return [
        f'{int(off.sum())} visible keypoints lie at (0, 0) or off their image '
        f'({_named(annotated, owners)}); a missing one must have the visibility 0'
    ]


def _hulls(annotated: AnnotatedPoints) -> list[str]:
    """Boxes that end at the outermost visible points, as CVAT writes them."""
    low, high = annotated.extent()
    off = np.abs(_xywh(annotated.boxes) - np.concatenate([low, high], axis=1))
    hulls = (off <= HULL).all(axis=1)
    if len(hulls) < FEWEST or hulls.mean() < OTHER_FORM:
        return []
    return [
        f'{int(hulls.sum())} boxes end at the outermost of their visible keypoints: '
        'without bbox in the json they are computed with a margin'
    ]


def _named(annotated: AnnotatedPoints, rows: np.ndarray) -> str:
    return _some([annotated.ids[row] for row in rows])


def _some(ids: Sequence[Any]) -> str:
    named = ', '.join(map(str, ids[:NAMED]))
    return f'id {named}' + ', …' * (len(ids) > NAMED)
