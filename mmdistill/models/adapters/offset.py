"""Adapter of heads with heatmaps and offsets (UDP's 'combined' codec).

Shapes: `N` instances, `n` of them in a view, `K` keypoints, `w, h` heatmap.

A keypoint has three maps: the likelihood that it is near a cell, and its offset from
the cell along x and y, in units of the codec's radius. Offsets are warped back as
heatmaps are, and then rotated, mirrored and scaled by the inverse of the view. They
are linear over the cells around a keypoint, so interpolation does not blur them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import MaskedMean, PeakSpread, Rows, heatmap_peaks
from mmdistill.functional.inverse_views import Grid
from mmdistill.functional.views import Frame, View
from mmdistill.models.adapters.base import (
    Adapter,
    DecodedPoses,
    check_same_family,
    decode_with,
    with_codec,
)
from mmdistill.models.adapters.grids import Layouts, OutputGrids
from mmdistill.models.adapters.heatmap import last_stage, planar
from mmdistill.models.keypoints import swap_left_right

MAPS = 3
"""Number of maps of a keypoint: likelihood, x offset, y offset."""


class OffsetAdapter:
    """Adapter of heatmaps with offsets: their cells, and the inverses of views.

    Args:
        head: A head of MMPose whose forward returns maps (N, 3 * K, h, w), or a
            list of them, one a stage, of which the last one counts.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            codec requires.
        layouts: Sizes of input and maps by resolution; by default the codec's own.

    Attributes:
        grids: The maps of each resolution, and those that views are fused on.
        frame: The network input of the fused maps.
        axes: The x and y axis of the fused maps.
        radius: Number of fused cells in a unit of offsets.
        agreement_from: None: its peaks are those of the model.
    """

    output = 'heatmaps with offsets'
    num_cells = 0
    agreement_from = None

    def __init__(
        self, head: Any, use_udp: bool | None = None, layouts: Layouts | None = None
    ) -> None:
        self.grids = OutputGrids(head.decoder, use_udp, layouts)
        self._head = with_codec(head, self.grids.codec)
        self.frame, self.axes = self.grids.fused.frame, self.grids.fused.axes
        self.radius = self._radius(self.grids.fused)

    def frame_of(self, view: View) -> Frame:
        """Return the network input of a view."""
        return self.grids.of(view).frame

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Check that offsets are averaged; see `Adapter.check`."""
        if fusion != 'mean':
            raise ConfigError(
                f'{type(self._head).__name__} predicts offsets, which have a mean and '
                f"no maximum: fusion must be 'mean', got {fusion!r}; set "
                "distill.views.fusion='mean'"
            )

    def check_partner(self, other: Adapter, same_crops: bool) -> None:
        """Check that both have the same cells; see `Adapter.check_partner`."""
        check_same_family(self, other)
        assert isinstance(other, OffsetAdapter)
        if not same_crops or (self.axes, self.radius) != (other.axes, other.radius):
            raise ConfigError(
                'heatmaps with offsets of an ensemble must have the same cells: the '
                'same input_size, heatmap_size and radius_factor of the codec and the '
                'same padding of boxes'
            )

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """Extract the maps of the last stage, single precision, (n, K, 3, h, w)."""
        return (planar(last_stage(output)).unflatten(1, (-1, MAPS)),)

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> OffsetFusion:
        """Begin the fusion of some instances; see `Adapter.start`."""
        return OffsetFusion(self, num_instances, flip_indices)

    def undo(self, view: View, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Warp the maps of a view to the reference grid, with their coverage.

        Args:
            view: The view.
            maps: The maps, (n, K, 3, h, w).

        Returns:
            Maps (n, K, 3, h, w) of the fused grid, and 1 where there is evidence,
            else 0, (h, w).
        """
        undo = self.grids.undo(view, maps.device)
        warped = undo(maps.flatten(1, 2)).unflatten(1, (-1, MAPS))
        units = self._radius(self.grids.of(view)) / self.radius
        jacobian = (self.grids.jacobian(view) * units).to(maps)
        likelihoods, offsets = warped.split([1, MAPS - 1], dim=2)
        offsets = torch.einsum('ij,nkjhw->nkihw', jacobian, offsets)
        return torch.cat([likelihoods, offsets], dim=2), undo.coverage

    def peaks(self, view: View, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the keypoints of a single view.

        Args:
            view: The view.
            maps: The maps, (n, K, 3, h, w).

        Returns:
            Relative positions in the reference crop, (n, K, 2), and likelihoods,
            (n, K).
        """
        cells, likelihoods = heatmap_peaks(maps[:, :, 0])
        index = (cells[..., 1] * maps.shape[4] + cells[..., 0]).long()
        at_peak = index[..., None, None].expand(-1, -1, MAPS - 1, 1)
        offsets = maps[:, :, 1:].flatten(3).gather(3, at_peak)[..., 0]
        cells = cells + self._radius(self.grids.of(view)) * offsets
        return self.grids.positions(view, cells), likelihoods

    def decode(self, maps: Tensor) -> DecodedPoses:
        """Decode maps in the reference crop, (N, K, 3, h, w)."""
        return decode_with(self._head, maps.flatten(1, 2))

    def _radius(self, grid: Grid) -> float:
        """Number of cells of a grid in a unit of its offsets."""
        return float(self._head.decoder.radius_factor * max(grid.size))


class OffsetFusion:
    """Running fusion of some instances over their views."""

    def __init__(
        self, adapter: OffsetAdapter, num_instances: int, flip_indices: Sequence[int]
    ) -> None:
        self._adapter = adapter
        self._flip_indices = list(flip_indices)
        self._fused = MaskedMean(num_instances)
        self._spread = PeakSpread(num_instances)

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Undo one view of some instances and add it; see `Fusion.add`."""
        (maps,) = evidence
        if view.flip:
            maps = swap_left_right(maps, self._flip_indices)
        peaks, weights = self._adapter.peaks(view, maps)
        self._spread.add(crops.to_image(peaks), weights, rows)
        warped, coverage = self._adapter.undo(view, maps)
        self._fused.add(warped, coverage.expand(MAPS, -1, -1), rows)

    def result(self) -> Tensor:
        """Return the fused maps in the reference crop, (N, K, 3, h, w)."""
        return self._fused.result()

    def decode(self) -> DecodedPoses:
        """Decode the fused poses."""
        return self._adapter.decode(self.result())

    def spread(self) -> Tensor:
        """Compute the mean squared distance of the views' peaks, pixels², (N, K)."""
        return self._spread.result()

    @property
    def peaks(self) -> PeakSpread:
        """The running spread of the views' peaks, in the image."""
        return self._spread

    def merge(self, other: OffsetFusion, crops: Crops, other_crops: Crops) -> None:
        """Add the views of another teacher on the same grid; see `Fusion.merge`."""
        self._fused.merge(other._fused)
        self._spread.merge(other._spread)
