"""Plan of views: those shown of each instance, and their forward passes.

Shapes: `N` instances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor

from mmdistill.functional.fusion import EVERY, Rows
from mmdistill.functional.views import View, is_same


@dataclass(frozen=True)
class ViewPlan:
    """Views, and the instances that each of them shows.

    Attributes:
        views: The views, all different.
        areas: Areas of a box, squared pixels of the image, below which an
            instance is small and from which on it is large (see `suits`); None
            shows every view of every instance.

    Raises:
        ValueError: If an instance could have no view, or an area is negative.

    >>> plan = ViewPlan(make_views([0.5, 1.0], flip=False), areas=(32**2, 96**2))
    >>> [[str(view) for view, rows in batch]
    ...  for batch in plan.batches(torch.tensor([100.0, 5000.0]), size=2)]
    [['0.5'], ['1']]
    """

    views: tuple[View, ...]
    areas: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for area in self.areas or ():
            if not isinstance(area, Real) or not area >= 0:
                raise ValueError(
                    f'small_area and large_area must be at least 0, got {area!r}'
                )
        if self.areas is not None and all(_depends_on_size(v) for v in self.views):
            raise ValueError(
                'where views depend on size the scale 1 must be among them, at '
                'resolution 1, or an instance may have none, got '
                f'{", ".join(map(str, self.views))}'
            )

    def block_size(self, size: int) -> int:
        """Compute how many instances can be shown together, at least 1.

        Args:
            size: Crops in a forward pass, at resolution 1.
        """
        return max(1, int(size / max(1.0, *(view.pixels for view in self.views))))

    def batches(
        self,
        box_areas: Tensor,
        size: int,
        views: Sequence[View] | None = None,
        rows: Rows = EVERY,
    ) -> Iterator[list[tuple[View, Rows]]]:
        """Group views into forward passes, each with as many as fit into it.

        Views at different resolutions cannot share a pass. Smaller inputs fill less
        of it: a pass has as many pixels as `size` crops at resolution 1.

        Args:
            box_areas: Areas of the boxes, squared pixels of the image, (N,).
            size: Crops in a pass, at least N.
            views: Some of the views; by default all.
            rows: The instances that are shown; by default all.

        Yields:
            Views, of one resolution, and the instances they show.
        """
        instances = rows
        batch: list[tuple[View, Rows]] = []
        filled = 0.0
        for view in self.views if views is None else views:
            rows, count = self._shown(view, box_areas, instances)
            if batch and (
                view.resolution != batch[0][0].resolution
                or filled + count * view.pixels > size
            ):
                yield batch
                batch, filled = [], 0.0
            if count:
                batch.append((view, rows))
                filled += count * view.pixels
        if batch:
            yield batch

    def _shown(self, view: View, box_areas: Tensor, rows: Rows) -> tuple[Rows, int]:
        """Rows of the instances that a view shows, and their number."""
        if self.areas is None:
            return rows, len(box_areas[rows])
        suited = suits(view, box_areas, *self.areas)
        if isinstance(rows, slice):
            rows = torch.arange(len(box_areas), device=box_areas.device)[rows]
        rows = rows[suited[rows]]
        return rows, len(rows)


def even_blocks(length: int, size: int) -> Iterator[slice]:
    """Split rows into the fewest slices of at most `size` rows, of nearly equal length.

    Args:
        length: Number of rows.
        size: Maximum number of rows in a slice.

    >>> list(even_blocks(5, size=3))
    [slice(0, 2, None), slice(2, 5, None)]
    """
    count = math.ceil(length / size)
    for i in range(count):
        yield slice(length * i // count, length * (i + 1) // count)


def make_views(
    scales: Sequence[float],
    flip: bool,
    aspect_ratios: Sequence[float] = (),
    rotations: Sequence[float] = (),
    resolutions: Sequence[float] = (1.0,),
) -> tuple[View, ...]:
    """Make the views of every scale, aspect ratio and rotation at every resolution.

    As in Detectron the transforms of the crop are alternatives and are not combined:
    aspect ratios and rotations are applied at scale 1. Each of these crops is shown at
    every resolution, and each of those also flipped.

    Args:
        scales: Magnifications of the image.
        flip: Whether each view is also mirrored.
        aspect_ratios: Magnifications of the width alone, in addition to the scales.
        rotations: Degrees by which crops are rotated, in addition to the scales.
        resolutions: Factors of both sides of the network input.

    Raises:
        ValueError: If there is no view, a scale, an aspect ratio or a resolution is
            not positive and finite, a rotation is not finite, or a view is named
            twice, as by rotations that differ by full turns.

    >>> [str(view) for view in make_views([1.0, 1.5], flip=True, rotations=[30])]
    ['1', '1 flipped', '1.5', '1.5 flipped', '1 rotated 30', '1 rotated 30 flipped']
    >>> [str(view) for view in make_views([0.8, 1], flip=False, resolutions=[1, 1.5])]
    ['0.8', '1', '0.8 at 1.5', '1 at 1.5']
    """
    ratios = _positive('an aspect ratio', aspect_ratios)
    sizes = _positive('a resolution', resolutions)
    crops = [
        *(View(scale=value) for value in _positive('a scale', scales)),
        *(View(aspect_ratio=value) for value in ratios),
        *(View(rotation=value) for value in _finite('a rotation', rotations)),
    ]
    for name, values in (('scale', crops), ('resolution', sizes)):
        if not values:
            raise ValueError(f'at least one {name} must be named, got none')
    views = [replace(crop, resolution=value) for value in sizes for crop in crops]
    for i, view in enumerate(views):
        if any(is_same(view, other) for other in views[:i]):
            raise ValueError(
                f'a view must be named once, got {view} twice (an aspect ratio of 1 '
                'and a rotation of 0 or 360 are the scale 1)'
            )
    flips = (False, True) if flip else (False,)
    return tuple(replace(view, flip=mirrored) for view in views for mirrored in flips)


def suits(view: View, areas: Tensor, small_area: float, large_area: float) -> Tensor:
    """Mask of the instances whose size suits a view, as in Detectron.

    A small instance that is scaled down loses its details, a large one that is scaled
    up leaves the crop (`KPS_AUG.SCALE_SIZE_DEP`). A resolution scales as a scale does:
    a small instance is not shown with fewer pixels, nor a large one with more.

    Args:
        view: The view.
        areas: Areas of the boxes, squared pixels of the image, (N,).
        small_area: Below this area a box is small.
        large_area: From this area on a box is large.

    Returns:
        Mask, (N,), bool, true where the view is shown.

    >>> suits(View(scale=0.5), torch.tensor([100.0, 5000.0]), 32**2, 96**2).tolist()
    [False, True]
    """
    suited = torch.ones_like(areas, dtype=torch.bool)
    if min(view.scale, view.resolution) < 1:
        suited &= areas >= small_area
    if max(view.scale, view.resolution) > 1:
        suited &= areas < large_area
    return suited


def _depends_on_size(view: View) -> bool:
    """Whether a view is not shown of instances of every size."""
    return view.scale != 1 or view.resolution != 1


def _positive(name: str, values: Sequence[float]) -> list[float]:
    """Check that a setting is a list of positive finite numbers."""
    numbers = _numbers(name, values)
    for value in numbers:
        if not 0 < value < math.inf:
            raise ValueError(f'{name} must be positive and finite, got {value}')
    return numbers


def _finite(name: str, values: Sequence[float]) -> list[float]:
    """Check that a setting is a list of finite numbers."""
    numbers = _numbers(name, values)
    for value in numbers:
        if not math.isfinite(value):
            raise ValueError(f'{name} must be finite, got {value}')
    return numbers


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    """Convert a list of numbers to floats."""
    is_list = isinstance(values, Iterable) and not isinstance(values, str)
    if not is_list or not all(isinstance(value, Real) for value in values):
        raise ValueError(f'{name} must be a number in a list, got {values!r}')
    return [float(value) for value in values]
