"""Views: one transform of an image, its crop, and the way back.

Shapes: `N` instances, `K` keypoints, `W, H` network input, `w, h` heatmap.

Convention: coordinates are (x, y). A place inside a crop is its *relative
position* r, so that the image coordinate is ``x = center + (r - 1/2) * extent``
along each axis, whatever the input size or the codec. Two conventions of
MMPose meet here:

* plain warp: input pixel p lies at ``r = p / W``;
* UDP warp: input pixel p lies at ``r = p / (W - 1)``.

Mirroring a crop sends input pixel p to ``W - 1 - p``, so r to ``1 - r`` for
UDP but to ``(W - 1) / W - r`` for the plain warp. For a heatmap of stride 4
that is a shift of 3/4 of a cell, which MMPose's ``shift_heatmap`` rounds to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

SNAP = 1e-6
"""Positions this close to a cell are that cell: rounding must not cost weight."""


@dataclass(frozen=True)
class View:
    """One transform of an image.

    Attributes:
        scale: Magnification of the image, as in the paper (section 4.1): at
            1.5 a person appears 1.5 times as large, so the crop covers 1 / 1.5
            of the width that the reference crop covers.
        flip: Whether the crop is mirrored left to right.
    """

    scale: float = 1.0
    flip: bool = False

    def __str__(self) -> str:
        return f'{self.scale:g}{" flipped" if self.flip else ""}'


@dataclass(frozen=True)
class Axis:
    """The cells of one heatmap axis, and where they lie in the crop.

    Attributes:
        cells: Number of cells.
        stride: Decoded input pixels from one cell to the next.
        offset: Decoded input pixel of cell 0.
        pixels: Length of the network input along this axis.
        use_udp: Whether crops are cut with MMPose's UDP warp.
    """

    cells: int
    stride: float
    offset: float
    pixels: int
    use_udp: bool

    def position(self, cell: Any) -> Any:
        """Relative position of (fractional) cells."""
        return (cell * self.stride + self.offset) / self.pixels

    def cell(self, position: Any) -> Any:
        """Fractional cell at relative positions; inverse of `position`."""
        return (position * self.pixels - self.offset) / self.stride


def span(pixels: int, use_udp: bool) -> int:
    """Input pixels from the left edge of a crop to its right edge."""
    return pixels - 1 if use_udp else pixels


def mirror(position: Any, pixels: int, use_udp: bool) -> Any:
    """Relative position, in a crop, of what lies at `position` in its mirror image."""
    return (pixels - 1) / span(pixels, use_udp) - position


def view_cells(view: View, axis: Axis, horizontal: bool) -> np.ndarray:
    """Fractional cell of a view's output that shows each cell of the reference.

    Args:
        view: The view.
        axis: The heatmap axis, the same for view and reference.
        horizontal: Whether this is the axis that a flip mirrors.

    Returns:
        Cells, (cells,), float64; outside [0, cells - 1] where the view shows
        nothing of the reference.
    """
    position = (axis.position(np.arange(axis.cells)) - 0.5) * view.scale + 0.5
    if view.flip and horizontal:
        position = mirror(position, axis.pixels, axis.use_udp)
    return axis.cell(position)


def reference_positions(
    view: View, axis: Axis, horizontal: bool, cells: Tensor
) -> Tensor:
    """Relative positions in the reference crop of cells of a view's output.

    The inverse of `view_cells`, at any cells.

    Args:
        view: The view.
        axis: The heatmap axis.
        horizontal: Whether this is the axis that a flip mirrors.
        cells: Cells of the view's output, any shape.
    """
    position = axis.position(cells)
    if view.flip and horizontal:
        position = mirror(position, axis.pixels, axis.use_udp)
    return (position - 0.5) / view.scale + 0.5


def undo_matrix(view: View, axis: Axis, horizontal: bool) -> np.ndarray:
    """Matrix that brings one axis of a view's output into the reference crop.

    Views scale and flip, so undoing one is linear interpolation along each
    axis, with the same matrix for every instance.

    Args:
        view: The view.
        axis: The heatmap axis.
        horizontal: Whether this is the axis that a flip mirrors.

    Returns:
        Interpolation weights (cells of the reference, cells of the view). A row
        sums to 1, or to 0 where the view shows nothing of the reference.
    """
    cells = view_cells(view, axis, horizontal)
    nearest = np.rint(cells)
    cells = np.where(np.abs(cells - nearest) < SNAP, nearest, cells)
    covered = (cells >= 0) & (cells <= axis.cells - 1)
    low = np.clip(np.floor(cells), 0, axis.cells - 1).astype(int)
    high = np.minimum(low + 1, axis.cells - 1)
    fraction = np.where(covered, cells - low, 0.0)
    matrix = np.zeros((axis.cells, axis.cells))
    rows = np.arange(axis.cells)
    np.add.at(matrix, (rows, low), np.where(covered, 1 - fraction, 0.0))
    np.add.at(matrix, (rows, high), np.where(covered, fraction, 0.0))
    return matrix


def undo_view(heatmaps: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Bring a view's heatmaps into the reference crop.

    Args:
        heatmaps: The view's output, (N, K, h, w).
        columns: `undo_matrix` of the x axis, (w, w).
        rows: `undo_matrix` of the y axis, (h, h).

    Returns:
        Heatmaps on the reference grid, (N, K, h, w); zeros without coverage.
    """
    return rows @ heatmaps @ columns.T


def make_views(scales: Sequence[float], flip: bool) -> tuple[View, ...]:
    """All views of the scales, each also flipped when `flip` is set.

    Raises:
        ValueError: If there is no scale, or one is not positive or named twice.
    """
    if not scales:
        raise ValueError('scales must name at least one scale, got none')
    for scale in scales:
        if not scale > 0:
            raise ValueError(f'a scale must be positive, got {scale}')
    if len(set(scales)) < len(scales):
        raise ValueError(f'a scale must be named once, got {list(scales)}')
    flips = (False, True) if flip else (False,)
    return tuple(View(float(scale), mirrored) for scale in scales for mirrored in flips)
