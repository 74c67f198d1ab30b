"""Inverse views: warps of a view's output back into the reference crop.

A view is the same map of relative positions for every instance, so its inverse is
the same interpolation for every instance: separable along the axes where the
view does not rotate the crop, else over both at once.

An output at another resolution has more or fewer cells over the same crop, so the
warp also resamples it onto the reference grid. There it covers what the same view
would cover at the resolution of that grid: cells beyond its outermost ones, which are
less than a cell away, take their values, so that no border lacks a view.

Shapes: `N` instances, `K` keypoints, `w, h` cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdistill.functional.views import Frame, View, to_reference, to_view

SNAP = 1e-6
"""Distance below which a position is snapped to a cell, against rounding errors."""


@dataclass(frozen=True)
class Axis:
    """Cells of one axis of an output, and their positions in the crop.

    Attributes:
        cells: Number of cells.
        stride: Decoded input pixels from one cell to the next.
        offset: Decoded input pixel of cell 0.
        pixels: Decoded input pixels from one edge of the crop to the other.

    >>> axis = Axis(cells=4, stride=4.0, offset=1.5, pixels=16.0)
    >>> position = axis.position(torch.tensor([0.0, 2.0]))
    >>> position.tolist(), axis.cell(position).tolist()
    ([0.09375, 0.59375], [0.0, 2.0])
    """

    cells: int
    stride: float
    offset: float
    pixels: float

    def position(self, cell: Tensor) -> Tensor:
        """Convert cells to relative positions.

        Args:
            cell: Numbers of cells, whole or between two, (...).

        Returns:
            Positions from 0 to 1 across the crop, (...).
        """
        return (cell * self.stride + self.offset) / self.pixels

    def cell(self, position: Tensor) -> Tensor:
        """Convert relative positions to fractional cells; inverse of `position`.

        Args:
            position: Positions from 0 to 1 across the crop, (...).

        Returns:
            Numbers of cells, (...).
        """
        return (position * self.pixels - self.offset) / self.stride


@dataclass(frozen=True)
class Grid:
    """Cells of an output, over the network input that it belongs to.

    Attributes:
        frame: The network input.
        axes: The x and y axis of the output.

    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> Grid(Frame(4, 4, use_udp=False), (axis, axis)).size
    (4, 4)
    """

    frame: Frame
    axes: tuple[Axis, Axis]

    @property
    def size(self) -> tuple[int, int]:
        """Number of cells along x and y."""
        return self.axes[0].cells, self.axes[1].cells


@dataclass(frozen=True)
class SeparableInverse:
    """Inverse of a view that does not rotate the crop.

    Attributes:
        columns: Weights of the x axis, (cells of the reference, cells of the view).
        rows: Weights of the y axis; a cell of the reference reads one cell of the
            view or two adjacent ones.
        keeps_columns: Whether `columns` is the identity, so that it is skipped.
        keeps_rows: Whether `rows` is.

    >>> mirror = torch.eye(2).flip(0)
    >>> inverse = SeparableInverse(mirror, torch.eye(2))
    >>> inverse(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[2.0, 1.0], [4.0, 3.0]]]]
    """

    columns: Tensor
    rows: Tensor
    keeps_columns: bool = False
    keeps_rows: bool = False

    @cached_property
    def coverage(self) -> Tensor:
        """1 where the view shows the reference crop, else 0, (h, w)."""
        return (self.rows.sum(1)[:, None] * self.columns.sum(1)).round()

    def to(self, device: torch.device) -> SeparableInverse:
        """Copy to another device.

        Args:
            device: The device.
        """
        return replace(self, columns=self.columns.to(device), rows=self.rows.to(device))

    def __call__(self, heatmaps: Tensor) -> Tensor:
        """Heatmaps of the view (N, K, h, w) on the reference grid, 0 uncovered."""
        if not self.keeps_columns:
            heatmaps = heatmaps @ self._along_x
        if self.keeps_rows:
            return heatmaps
        # A product with the matrix would take three times as long on a CPU.
        (low, of_low), (high, of_high) = self._rows_read
        blended = heatmaps.index_select(2, low).mul_(of_low)
        return blended.addcmul_(heatmaps.index_select(2, high), of_high)

    @cached_property
    def _along_x(self) -> Tensor:
        """Weights of the x axis, (cells of the view, cells of the reference)."""
        return self.columns.T

    @cached_property
    def _rows_read(self) -> list[tuple[Tensor, Tensor]]:
        """Upper and lower row that is read for each, and its weights, (h,), (h, 1)."""
        last = self.rows.shape[1] - 1
        low = (self.rows != 0).float().argmax(1)
        high = (low + 1).clamp(max=last)
        of_low, of_high = (self.rows.gather(1, i[:, None]) for i in (low, high))
        return [(low, of_low), (high, of_high * (high > low)[:, None])]


@dataclass(frozen=True)
class RotatedInverse:
    """Inverse of a view that rotates the crop.

    Attributes:
        grid: Position in the view of each cell of the reference, in `grid_sample`'s
            frame with aligned corners, (h, w, 2).
        coverage: 1 where the view shows the reference crop, else 0, (h, w).

    >>> grid = torch.tensor([[[-1.0, 1.0], [-1.0, -1.0]], [[1.0, 1.0], [1.0, -1.0]]])
    >>> inverse = RotatedInverse(grid, torch.ones(2, 2))
    >>> inverse(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[3.0, 1.0], [4.0, 2.0]]]]
    """

    grid: Tensor
    coverage: Tensor

    def to(self, device: torch.device) -> RotatedInverse:
        """Copy to another device.

        Args:
            device: The device.
        """
        return RotatedInverse(self.grid.to(device), self.coverage.to(device))

    def __call__(self, heatmaps: Tensor) -> Tensor:
        """Heatmaps of the view (N, K, h, w) on the reference grid, 0 uncovered."""
        sampled = F.grid_sample(
            heatmaps.flatten(0, 1)[None], self.grid[None], align_corners=True
        )
        return sampled[0].unflatten(0, heatmaps.shape[:2]) * self.coverage


InverseView = SeparableInverse | RotatedInverse
"""Warp of a view's heatmaps onto the reference grid."""


def inverse_of(
    view: View, frame: Frame, axes: tuple[Axis, Axis], onto: Grid | None = None
) -> InverseView:
    """Build the inverse of a view of heatmaps.

    Args:
        view: The view.
        frame: The network input of the view.
        axes: The x and y axis of its heatmaps.
        onto: The reference grid; by default of the same frame and axes.

    >>> frame = Frame(4, 4, use_udp=False)
    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> undo = inverse_of(View(flip=True), frame, (axis, axis))
    >>> undo(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]] * 4]]))[0, 0, 0].tolist()
    [4.0, 3.0, 2.0, 1.0]
    >>> type(inverse_of(View(rotation=30), frame, (axis, axis))).__name__
    'RotatedInverse'
    """
    if view.separable:
        columns, rows = (inverse_matrix(view, frame, axes, i, onto) for i in range(2))
        return SeparableInverse(
            columns, rows, _is_identity(columns), _is_identity(rows)
        )
    cells = view_cells(view, frame, axes, onto)
    last = cells.new_tensor([axis.cells - 1 for axis in axes])
    covered = _covered(view, cells, axes, onto).all(-1)
    if onto is not None:
        cells = cells.clamp(torch.zeros_like(last), last)
    return RotatedInverse((2 * cells / last - 1).float(), covered.float())


class InverseWarps:
    """Cache of the inverses of views of heatmaps, each built once per device.

    Args:
        frame: The network input of the views.
        axes: The x and y axis of their heatmaps.
        onto: The reference grid; by default of the same frame and axes.

    >>> frame = Frame(4, 4, use_udp=False)
    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> warps, device = InverseWarps(frame, (axis, axis)), torch.device('cpu')
    >>> warps.get(View(flip=True), device) is warps.get(View(flip=True), device)
    True
    """

    def __init__(
        self, frame: Frame, axes: tuple[Axis, Axis], onto: Grid | None = None
    ) -> None:
        self._frame = frame
        self._axes = axes
        self._onto = onto
        self._inverses: dict[tuple[View, torch.device], InverseView] = {}

    def get(self, view: View, device: torch.device) -> InverseView:
        """Return the inverse of a view, computed once a device.

        Args:
            view: The view.
            device: The device that it is needed on.
        """
        key = (view, device)
        if key not in self._inverses:
            inverse = inverse_of(view, self._frame, self._axes, self._onto)
            self._inverses[key] = inverse.to(device)
        return self._inverses[key]


def inverse_matrix(
    view: View,
    frame: Frame,
    axes: tuple[Axis, Axis],
    i: int,
    onto: Grid | None = None,
) -> Tensor:
    """Compute the matrix that maps one axis of a view's output to the reference crop.

    Args:
        view: The view; it must not rotate the crop.
        frame: The network input of the view.
        axes: The x and y axis of its output.
        i: Index of the axis, 0 or 1.
        onto: The reference grid; by default of the same frame and axes.

    Returns:
        Weights (cells of the reference, cells of the view). A row sums to 1, or
        to 0 where the view shows nothing of the reference.

    >>> frame = Frame(4, 4, use_udp=False)
    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> inverse_matrix(View(scale=2), frame, (axis, axis), 0).tolist()[1]
    [1.0, 0.0, 0.0, 0.0]
    """
    assert view.separable
    cells = view_cells(view, frame, axes, onto)
    covered = _covered(view, cells, axes, onto)
    along = (0, slice(None), 0) if i == 0 else (slice(None), 0, 1)
    return _interpolation(cells[along], covered[along], axes[i].cells)


def reference_positions(
    view: View, frame: Frame, axes: tuple[Axis, Axis], cells: Tensor
) -> Tensor:
    """Compute relative positions in the reference crop of cells of a view's output.

    Args:
        view: The view.
        frame: The network input of the view.
        axes: The x and y axis of its output.
        cells: Cells (x, y) of the view's output, (..., 2).

    >>> frame = Frame(4, 4, use_udp=False)
    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> cells = torch.tensor([[0.0, 1.0]])
    >>> reference_positions(View(flip=True), frame, (axis, axis), cells).tolist()
    [[0.75, 0.25]]
    """
    x, y = cells.unbind(-1)
    shown = torch.stack([axes[0].position(x), axes[1].position(y)], dim=-1)
    return to_reference(view, frame, shown)


def reference_jacobian(
    view: View, frame: Frame, axes: tuple[Axis, Axis], onto: Grid | None = None
) -> Tensor:
    """Compute the Jacobian of the map from a view's cells to reference cells.

    Args:
        view: The view.
        frame: The network input of the view.
        axes: The x and y axis of its output.
        onto: The reference grid; by default of the same frame and axes.

    Returns:
        Steps in cells of the reference, (2, 2), float64: the first column is that
        of a step along x in the view.

    >>> frame = Frame(4, 4, use_udp=False)
    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> reference_jacobian(View(scale=2, flip=True), frame, (axis, axis)).tolist()
    [[-0.5, 0.0], [0.0, 0.5]]
    """
    corners = torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    x, y = reference_positions(view, frame, axes, corners).unbind(-1)
    target = axes if onto is None else onto.axes
    cells = torch.stack([target[0].cell(x), target[1].cell(y)])
    return cells[:, 1:] - cells[:, :1]


def view_cells(
    view: View, frame: Frame, axes: tuple[Axis, Axis], onto: Grid | None = None
) -> Tensor:
    """Compute the fractional cells of a view that show the cells of the reference.

    Args:
        view: The view.
        frame: The network input of the view.
        axes: The x and y axis of its output.
        onto: The reference grid, with `w, h` cells; by default of the same frame and
            axes.

    Returns:
        Cells (x, y), (h, w, 2), float64; outside [0, cells - 1] where the view
        shows nothing of the reference.

    >>> frame = Frame(4, 4, use_udp=False)
    >>> axis = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> view_cells(View(flip=True), frame, (axis, axis))[0, :, 0].tolist()
    [3.0, 2.0, 1.0, 0.0]
    """
    x, y = (
        axis.position(torch.arange(axis.cells, dtype=torch.float64))
        for axis in (axes if onto is None else onto.axes)
    )
    reference = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
    x, y = to_view(view, frame, reference).unbind(-1)
    cells = torch.stack([axes[0].cell(x), axes[1].cell(y)], dim=-1)
    nearest = cells.round()
    return torch.where((cells - nearest).abs() < SNAP, nearest, cells)


def _is_identity(matrix: Tensor) -> bool:
    return torch.equal(matrix, torch.eye(len(matrix)))


def _covered(
    view: View, cells: Tensor, axes: tuple[Axis, Axis], onto: Grid | None
) -> Tensor:
    """Mask of the reference cells that a view shows, along each axis, (h, w, 2)."""
    if onto is not None:
        cells, axes = view_cells(view, onto.frame, onto.axes), onto.axes
    last = cells.new_tensor([axis.cells - 1 for axis in axes])
    return (cells >= 0) & (cells <= last)


def _interpolation(cells: Tensor, covered: Tensor, length: int) -> Tensor:
    """Linear weights that read a vector at covered cells, (n, length), float32."""
    last = length - 1
    low = cells.floor().clamp(0, last).long()
    high = (low + 1).clamp(max=last)
    # A covered cell beyond the ends takes the value of the end.
    fraction = torch.where(covered, (cells - low).clamp(0, 1), 0.0)
    matrix = torch.zeros(len(cells), length, dtype=torch.float64)
    rows = torch.arange(len(cells))
    at_low = torch.where(covered, 1 - fraction, 0.0)
    matrix.index_put_((rows, low), at_low, accumulate=True)
    matrix.index_put_((rows, high), fraction, accumulate=True)
    return matrix.float()
