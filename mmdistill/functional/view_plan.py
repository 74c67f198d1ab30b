"""Which views are shown of which instances, and in which forward passes.

Shapes: `N` instances.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from mmdistill.functional.fusion import EVERY, Rows
from mmdistill.functional.views import View, is_same


@dataclass(frozen=True)
class ViewPlan:
    """Views, and the instances each of them is shown of.

    Attributes:
        views: The views, none twice.
        areas: Areas of a box, squared pixels of the image, below which an
            instance is small and from which on it is large (see `suits`); None
            shows every view of every instance.

    Raises:
        ValueError: If an instance may be seen in no view, or an area is negative.
    """

    views: tuple[View, ...]
    areas: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for area in self.areas or ():
            if not isinstance(area, Real) or not area >= 0:
                raise ValueError(
                    f'small_area and large_area must be at least 0, got {area!r}'
                )
        if self.areas is not None and all(view.scale != 1 for view in self.views):
            raise ValueError(
                'where views depend on size the scale 1 must be among them, or an '
                f'instance may be seen in none, got {", ".join(map(str, self.views))}'
            )

    def batches(
        self, box_areas: Tensor, size: int
    ) -> Iterator[list[tuple[View, Rows]]]:
        """Forward passes, each with as many views as fit into it.

        Args:
            box_areas: Areas of the boxes, squared pixels of the image, (N,).
            size: Crops in a pass, at least N.

        Yields:
            Views and the instances they show.
        """
        batch: list[tuple[View, Rows]] = []
        filled = 0
        for view in self.views:
            rows, count = self._shown(view, box_areas)
            if batch and filled + count > size:
                yield batch
                batch, filled = [], 0
            if count:
                batch.append((view, rows))
                filled += count
        if batch:
            yield batch

    def _shown(self, view: View, box_areas: Tensor) -> tuple[Rows, int]:
        """Which instances a view shows, and how many."""
        if self.areas is None:
            return EVERY, len(box_areas)
        rows = suits(view, box_areas, *self.areas).nonzero()[:, 0]
        return rows, len(rows)


def even_blocks(length: int, size: int) -> Iterator[slice]:
    """As few slices of at most `size` rows as there can be, equally long or nearly.

    Args:
        length: Number of rows.
        size: Most rows in a slice.
    """
    count = math.ceil(length / size)
    for i in range(count):
        yield slice(length * i // count, length * (i + 1) // count)


def make_views(
    scales: Sequence[float],
    flip: bool,
    aspect_ratios: Sequence[float] = (),
    rotations: Sequence[float] = (),
) -> tuple[View, ...]:
    """The views of every scale, aspect ratio and rotation, each also flipped.

    As in Detectron the transforms stand side by side and are not multiplied:
    aspect ratios and rotations are seen at scale 1.

    Args:
        scales: Magnifications of the image.
        flip: Whether each view is also seen mirrored.
        aspect_ratios: Magnifications of the width alone, beside the scales.
        rotations: Degrees by which crops are turned, beside the scales.

    Raises:
        ValueError: If there is no view, a scale or an aspect ratio is not positive
            and finite, a rotation is not finite, or a view is named twice, as
            rotations that differ by full turns name it.
    """
    ratios = _positive('an aspect ratio', aspect_ratios)
    views = [
        *(View(scale=value) for value in _positive('a scale', scales)),
        *(View(aspect_ratio=value) for value in ratios),
        *(View(rotation=value) for value in _finite('a rotation', rotations)),
    ]
    if not views:
        raise ValueError('at least one scale must be named, got none')
    for i, view in enumerate(views):
        if any(is_same(view, other) for other in views[:i]):
            raise ValueError(
                f'a view must be named once, got {view} twice (an aspect ratio of 1 '
                'and a rotation of 0 or 360 are the scale 1)'
            )
    flips = (False, True) if flip else (False,)
    return tuple(
        View(view.scale, mirrored, view.aspect_ratio, view.rotation)
        for view in views
        for mirrored in flips
    )


def _positive(name: str, values: Sequence[float]) -> list[float]:
    """A list of settings, each positive and finite."""
    found = _numbers(name, values)
    for value in found:
        if not 0 < value < math.inf:
            raise ValueError(f'{name} must be positive and finite, got {value}')
    return found


def _finite(name: str, values: Sequence[float]) -> list[float]:
    """A list of settings, each finite."""
    found = _numbers(name, values)
    for value in found:
        if not math.isfinite(value):
            raise ValueError(f'{name} must be finite, got {value}')
    return found


def _numbers(name: str, values: Sequence[float]) -> list[float]:
    """A list of settings as numbers."""
    is_list = isinstance(values, Iterable) and not isinstance(values, str)
    if not is_list or not all(isinstance(value, Real) for value in values):
        raise ValueError(f'{name} must be a number in a list, got {values!r}')
    return [float(value) for value in values]


def suits(view: View, areas: Tensor, small_area: float, large_area: float) -> Tensor:
    """Which instances a view is worth showing, by their size, as in Detectron.

    A small instance that is scaled down loses what the network sees, a large one
    that is scaled up leaves the crop (`KPS_AUG.SCALE_SIZE_DEP`).

    Args:
        view: The view.
        areas: Areas of the boxes, squared pixels of the image, (N,).
        small_area: Below this area a box is small.
        large_area: From this area on a box is large.

    Returns:
        A mask, (N,), true where the view stays.
    """
    if view.scale < 1:
        return areas >= small_area
    if view.scale > 1:
        return areas < large_area
    return torch.ones_like(areas, dtype=torch.bool)
