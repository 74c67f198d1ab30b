"""Which form the boxes of a detection file have, by the images that they are on.

Corners, boxes around their center, shares of the image: each is four numbers, as x, y,
width and height are, and would be labeled without a word. In a wrong form many boxes
reach far beyond their images, in the right one none does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.errors import DataError
from mmdistill.utils.logging import warn

SLACK = 0.1
"""Of a box's side (and two pixels), by which detectors may leave the image."""
FITTING = 0.95
"""Share of boxes that fit a form, from which on it is the file's."""
LEAVING_CORNERS = 0.4
"""Share of boxes beyond their images from which on they are compared with corners."""
LEAVING_CENTERED = 0.1
"""The same for boxes around their center, of which fewer leave their images."""
FEWEST = 3
"""Boxes beyond their images from which on a form is concluded."""
PERCENT = 100

Form = Callable[[np.ndarray], np.ndarray]
"""Corners (x1, y1, x2, y2) of four numbers that may be a box, both (M, 4)."""

SizesOf = Callable[[np.ndarray], np.ndarray]
"""Width and height of images by their numbers, (n, 2); not a number where unknown."""

LOOKED_AT = 32
"""Images whose sizes are read where no list states them."""


def check_shares(path: Path, boxes: np.ndarray) -> None:
    """Refuse boxes that are shares of the image, by their values alone.

    Args:
        path: The detection file.
        boxes: Its four numbers a box, (M, 4).

    Raises:
        DataError: If nearly all boxes with an extent lie within the first pixel.
    """
    sized = boxes[(boxes[:, 2:] > 0).all(axis=1)]
    if not len(sized) or (sized <= 1).all(axis=1).mean() < FITTING:
        return
    raise DataError(
        f'the boxes of the detection file {path} look like shares of the width and '
        f'height of the image: they lie within 0 and 1, as {sized[0].tolist()}; a bbox '
        'must be [x, y, width, height] in pixels, so multiply them by the width and '
        'height of the image'
    )


def check_on_images(
    path: Path,
    owners: np.ndarray,
    boxes: np.ndarray,
    images: ImageList,
    sizes_of: SizesOf | None,
) -> None:
    """Compare boxes with the sizes of their images, or of some of these.

    Args:
        path: The detection file.
        owners: Number of each box's image, (M,).
        boxes: Four numbers of a box each, (M, 4).
        images: The images.
        sizes_of: Reads the sizes of images where the list does not state them.

    Raises:
        DataError: If the boxes have another form.
    """
    if images.sizes is not None:
        rows = np.arange(len(owners))
        sizes = images.sizes[owners].astype(np.float64)
    elif sizes_of is not None and len(owners):
        some = np.unique(owners)
        some = some[:: -(-len(some) // LOOKED_AT)]
        rows = np.flatnonzero(np.isin(owners, some))
        sizes = sizes_of(some)[np.searchsorted(some, owners[rows])]
    else:
        return
    names = [images.paths[owner] for owner in owners[rows]]
    check_forms(path, boxes[rows], sizes, names)


def check_forms(
    path: Path, boxes: np.ndarray, sizes: np.ndarray, images: Sequence[str]
) -> None:
    """Refuse boxes that are corners or around their center.

    Args:
        path: The detection file.
        boxes: Four numbers of a box each, (M, 4).
        sizes: Width and height of their images, (M, 2); not a number where unknown.
        images: Names of their images, (M,).

    Raises:
        DataError: If many boxes reach far beyond their images, and nearly none does in
            another form.
    """
    rows = np.isfinite(sizes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    if not rows.any():
        return
    names = [images[row] for row in np.flatnonzero(rows)]
    boxes, sizes = boxes[rows], sizes[rows]
    leaving = ~_inside(_of_extents(boxes), sizes, low=False)
    if leaving.sum() >= FEWEST or leaving.all():
        for words, (form, least) in FORMS.items():
            fits = _inside(form(boxes), sizes)
            here = min(fits.mean(), fits[leaving].mean())
            if leaving.mean() >= least and here >= FITTING:
                raise DataError(_sentence(path, words, boxes, sizes, names, leaving))
        if leaving.mean() > 0.5:
            warn(
                f'the detection file {path}: {_beyond(leaving)}: are they pixels of '
                'images of this size?'
            )
    largest = boxes.max()
    if len(boxes) >= FEWEST and PERCENT / 2 < largest <= PERCENT:
        within = _inside(_of_extents(boxes), np.full_like(sizes, PERCENT))
        if within.all() and sizes.min() >= 2 * PERCENT:
            warn(
                f'the detection file {path}: no box lies beyond ({PERCENT}, '
                f'{PERCENT}), though all images are larger than twice that: they must '
                'be pixels, not percentages'
            )


def _of_extents(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _of_centers(boxes: np.ndarray) -> np.ndarray:
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


FORMS: Mapping[str, tuple[Form, float]] = {
    'corners [x1, y1, x2, y2]': (lambda boxes: boxes, LEAVING_CORNERS),
    '[center x, center y, width, height]': (_of_centers, LEAVING_CENTERED),
}
"""Other readings of boxes, and the share beyond their images that each needs."""


def _inside(corners: np.ndarray, sizes: np.ndarray, low: bool = True) -> np.ndarray:
    """Mask of the boxes with an extent on their images, up to some slack, (M,), bool.

    Args:
        corners: The boxes, (M, 4).
        sizes: Width and height of their images, (M, 2).
        low: Whether the left and the upper border of the image count too.
    """
    sides = corners[:, 2:] - corners[:, :2]
    slack = SLACK * sides + 2
    inside = (sides > 0) & (corners[:, 2:] <= sizes + slack)
    if low:
        inside &= corners[:, :2] >= -slack
    return inside.all(axis=1)


def _beyond(leaving: np.ndarray) -> str:
    return (
        f'{int(leaving.sum())} of {len(leaving)} boxes that were looked at reach far '
        'beyond their images'
    )


def _sentence(
    path: Path,
    words: str,
    boxes: np.ndarray,
    sizes: np.ndarray,
    names: Sequence[str],
    leaving: np.ndarray,
) -> str:
    first = int(np.argmax(leaving))
    return (
        f'the boxes of the detection file {path} look like {words}: as [x, y, width, '
        f'height] in pixels, which they must be, {_beyond(leaving)}, the first is '
        f'{boxes[first].tolist()} on {names[first]} of {sizes[first].astype(int)[0]} x '
        f'{sizes[first].astype(int)[1]} pixels'
    )
