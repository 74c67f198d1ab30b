"""Transfer of maps between the grids of two models, crop by crop.

Two models may have other inputs: their outputs have other cells, and where the
aspect ratio of the input or the padding of a box differs, their crops of an instance
show other regions of the image around the same center. No crop is rotated, so the
transfer is separable: a matrix for each axis, of all instances or of each.

Shapes: `N` instances, `C` maps, `w, h` target cells, `v, u` source cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmdistill.functional.crops import Crops
from mmdistill.functional.inverse_views import SNAP, Axis

SAME_EXTENT = 1e-5
"""Relative difference of extents that is rounding."""


@dataclass(frozen=True)
class GridTransfer:
    """Linear interpolation of maps of one grid on another.

    Attributes:
        columns: Weights of the x axis, (1 or N, w, v).
        rows: Weights of the y axis, (1 or N, h, u).

    >>> transfer = GridTransfer(torch.tensor([[[0.5, 0.5]]]), torch.eye(1)[None])
    >>> transfer(torch.tensor([[[[1.0, 3.0]]]])).tolist()
    [[[[2.0]]]]
    """

    columns: Tensor
    rows: Tensor

    def __call__(self, maps: Tensor) -> Tensor:
        """Maps (N, C, u, v) on the target grid, (N, C, h, w), 0 outside."""
        return self.rows[:, None] @ maps @ self.columns[:, None].mT


def grid_transfer(
    source: tuple[Axis, Axis],
    source_crops: Crops,
    target: tuple[Axis, Axis],
    target_crops: Crops,
) -> GridTransfer | None:
    """Build the transfer from one model's grid to another's, for some instances.

    Args:
        source: The x and y axis of the maps.
        source_crops: Crops that they show, of N instances.
        target: The x and y axis of the grid that is wanted.
        target_crops: Crops that it shows, of the same instances.

    Returns:
        The transfer; None where both grids are the same cells of the same crops.

    >>> crops = Crops(torch.zeros(1, 2), torch.full((1, 2), 8.0), torch.ones(1))
    >>> coarse = Axis(cells=2, stride=2.0, offset=0.5, pixels=4.0)
    >>> fine = Axis(cells=4, stride=1.0, offset=0.0, pixels=4.0)
    >>> transfer = grid_transfer((coarse, coarse), crops, (fine, fine), crops)
    >>> transfer.columns[0].tolist()
    [[0.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 0.0]]
    """
    ratios = (target_crops.extents / source_crops.extents).double()
    if bool(((ratios - 1).abs() < SAME_EXTENT).all()):
        if source == target:
            return None
        ratios = torch.ones_like(ratios[:1])
    columns, rows = (
        _weights(source[i], target[i], ratios[:, i]).to(source_crops.extents)
        for i in range(2)
    )
    return GridTransfer(columns, rows)


def _weights(source: Axis, target: Axis, ratios: Tensor) -> Tensor:
    """Weights of source cells for each target cell, (n, w, v), float64."""
    cells = torch.arange(target.cells, dtype=torch.float64, device=ratios.device)
    positions = (target.position(cells) - 0.5) * ratios[:, None] + 0.5
    read = source.cell(positions)
    nearest = read.round()
    read = torch.where((read - nearest).abs() < SNAP, nearest, read)
    covered = (read >= 0) & (read <= source.cells - 1)
    steps = torch.arange(source.cells, dtype=torch.float64, device=ratios.device)
    hats = (1 - (read[..., None] - steps).abs()).clamp(min=0)
    return hats * covered[..., None]
