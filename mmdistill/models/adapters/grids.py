"""Grids of a network's heatmaps: one per resolution, and the one they are fused on.

Shapes: `n` instances in a view, `K` keypoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmdistill.functional.inverse_views import (
    Grid,
    InverseView,
    InverseWarps,
    reference_jacobian,
    reference_positions,
)
from mmdistill.functional.views import Frame, View
from mmdistill.models.adapters.codecs import (
    Layout,
    needs_udp,
    peak_axes,
    resized_codec,
)


@dataclass(frozen=True)
class Layouts:
    """Sizes of input and heatmaps at each resolution.

    Attributes:
        by_resolution: The sizes; those of resolution 1 are the codec's own.
        fused: Resolution of the grid on which views are fused.
    """

    by_resolution: Mapping[float, Layout]
    fused: float = 1.0


class OutputGrids:
    """Grids of heatmaps by the resolution of views, and the inverses of views.

    The crop of an instance has the aspect ratio of the input whose grid is fused on.

    Args:
        decoder: The codec of a head of MMPose.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            codec requires.
        layouts: Sizes of input and heatmaps by resolution; by default the codec's own.

    Attributes:
        codec: The codec on the grid that views are fused on.
        fused: That grid.

    Raises:
        UserError: If the codec cannot be built for another size.
    """

    def __init__(
        self, decoder: Any, use_udp: bool | None = None, layouts: Layouts | None = None
    ) -> None:
        layouts = layouts or Layouts({1.0: Layout.of(decoder)})
        self._use_udp = needs_udp(decoder) if use_udp is None else use_udp
        codecs = {
            resolution: resized_codec(decoder, layout)
            for resolution, layout in layouts.by_resolution.items()
        }
        self.codec = codecs[layouts.fused]
        width, height = Layout.of(self.codec).input_size
        self._aspect_ratio = width / height
        self._grids = {
            resolution: self._grid(codec) for resolution, codec in codecs.items()
        }
        self.fused = self._grids[layouts.fused]
        self._warps = {
            resolution: InverseWarps(
                grid.frame, grid.axes, None if grid == self.fused else self.fused
            )
            for resolution, grid in self._grids.items()
        }

    def of(self, view: View) -> Grid:
        """Return the grid of a view's heatmaps."""
        return self._grids[view.resolution]

    def undo(self, view: View, device: torch.device) -> InverseView:
        """Return the inverse of a view, onto the fused grid, on a device."""
        return self._warps[view.resolution].get(view, device)

    def positions(self, view: View, cells: Tensor) -> Tensor:
        """Compute relative positions in the reference crop.

        Args:
            view: The view.
            cells: Cells (x, y) of its heatmaps, (n, K, 2).
        """
        grid = self.of(view)
        return reference_positions(view, grid.frame, grid.axes, cells)

    def jacobian(self, view: View) -> Tensor:
        """Compute steps in fused cells of a step in cells of a view, (2, 2)."""
        grid = self.of(view)
        return reference_jacobian(view, grid.frame, grid.axes, self.fused)

    def _grid(self, codec: Any) -> Grid:
        width, height = Layout.of(codec).input_size
        own = width / height == self._aspect_ratio
        frame = Frame(width, height, self._use_udp, None if own else self._aspect_ratio)
        return Grid(frame, peak_axes(codec, frame))
