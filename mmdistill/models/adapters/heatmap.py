"""Adapter of heads whose output is one heatmap per keypoint.

Shapes: `N` instances, `n` of them in a view, `K` keypoints, `w, h` heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import FUSIONS, PeakSpread, Rows, heatmap_peaks
from mmdistill.functional.grid_transfer import grid_transfer
from mmdistill.functional.inverse_views import InverseView
from mmdistill.functional.subcell import refine_cells
from mmdistill.functional.views import Frame, View
from mmdistill.models.adapters.base import (
    SUB_CELL,
    Adapter,
    DecodedPoses,
    check_same_family,
    with_codec,
)
from mmdistill.models.adapters.codecs import heatmap_axes, score_of_one
from mmdistill.models.adapters.flat_heatmaps import HeatmapDecoder
from mmdistill.models.adapters.grids import Layouts, OutputGrids
from mmdistill.models.keypoints import swap_left_right

SAME_SCORE = 1e-3
"""Difference of the scores of a peak below which two codecs have the same scale."""


class HeatmapAdapter:
    """Adapter of heatmaps: the positions of their cells, and the inverses of views.

    Codecs are probed: two one-hot heatmaps are decoded, and the two positions give the
    stride and offset of the codec's cells.

    Args:
        head: A head of MMPose whose forward returns heatmaps (N, K, h, w), or a
            list of them, one a stage, of which the last one counts.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            codec requires.
        layouts: Sizes of input and heatmaps by resolution; by default the codec's own.

    Attributes:
        grids: The heatmaps of each resolution, and those that views are fused on.
        frame: The network input of the fused heatmaps.
        axes: The x and y axis of the fused heatmaps.
        agreement_from: Peaks that agreement compares.
    """

    output = 'heatmaps'
    agreement_from = SUB_CELL

    def __init__(
        self, head: Any, use_udp: bool | None = None, layouts: Layouts | None = None
    ) -> None:
        self.grids = OutputGrids(head.decoder, use_udp, layouts)
        self.frame, self.axes = self.grids.fused.frame, self.grids.fused.axes
        self.num_cells = self.axes[0].cells * self.axes[1].cells
        codec = self.grids.codec
        self._decoder = HeatmapDecoder(with_codec(head, codec), heatmap_axes(codec))

    def frame_of(self, view: View) -> Frame:
        """Return the network input of a view."""
        return self.grids.of(view).frame

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Accept all views: heatmaps can be rotated back, and have a maximum."""

    def check_partner(self, other: Adapter, same_crops: bool) -> None:
        """Check that heatmaps of both have one scale; see `Adapter.check_partner`."""
        check_same_family(self, other)
        assert isinstance(other, HeatmapAdapter)
        codecs = [each.grids.codec for each in (self, other)]
        scores = [score_of_one(codec) for codec in codecs]
        if abs(scores[0] - scores[1]) > SAME_SCORE:
            names = [type(codec).__name__ for codec in codecs]
            raise ConfigError(
                f'heatmaps of an ensemble must have the same scale, a value of 1 is '
                f'a score of {scores[0]:.3g} to {names[0]} and of {scores[1]:.3g} to '
                f'{names[1]}'
            )

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """Extract the heatmaps of the last stage, single precision, (n, K, h, w)."""
        return (planar(last_stage(output)),)

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> HeatmapFusion:
        """Begin the fusion of some instances; see `Adapter.start`."""
        return HeatmapFusion(self, num_instances, flip_indices, fusion)

    def undo(self, view: View, device: torch.device) -> InverseView:
        """Return the inverse of a view, on a device."""
        return self.grids.undo(view, device)

    def decode(self, heatmaps: Tensor) -> DecodedPoses:
        """Decode heatmaps in the reference crop, (N, K, h, w)."""
        return self._decoder(heatmaps)


class HeatmapFusion:
    """Running fusion of some instances over their views."""

    def __init__(
        self,
        adapter: HeatmapAdapter,
        num_instances: int,
        flip_indices: Sequence[int],
        fusion: str,
    ) -> None:
        self._adapter = adapter
        self._flip_indices = list(flip_indices)
        self._fused = FUSIONS[fusion](num_instances)
        self._spread = PeakSpread(num_instances)

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Undo one view of some instances and add it; see `Fusion.add`."""
        (heatmaps,) = evidence
        if view.flip:
            heatmaps = swap_left_right(heatmaps, self._flip_indices)
        adapter = self._adapter
        cells, weights = heatmap_peaks(heatmaps)
        cells = refine_cells(heatmaps, cells, weights)
        peaks = adapter.grids.positions(view, cells)
        self._spread.add(crops.to_image(peaks), weights, rows)
        undo = adapter.undo(view, heatmaps.device)
        self._fused.add(undo(heatmaps), undo.coverage, rows)

    def result(self) -> Tensor:
        """Return the fused heatmaps in the reference crop, (N, K, h, w)."""
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

    def merge(self, other: HeatmapFusion, crops: Crops, other_crops: Crops) -> None:
        """Add the views of another teacher on this grid; see `Fusion.merge`."""
        transfer = grid_transfer(
            other._adapter.axes, other_crops, self._adapter.axes, crops
        )
        self._fused.merge(other._fused, transfer)  # type: ignore[arg-type]
        self._spread.merge(other._spread)


def last_stage(output: Any) -> Any:
    """Return the output of the last stage of a head, which may list several."""
    while isinstance(output, list) and output:
        output = output[-1]
    return output


def planar(maps: Tensor) -> Tensor:
    """Convert maps to single precision and contiguous memory, (n, K, h, w).

    In channels-last memory every step of the fusion would have to gather them again.

    Args:
        maps: Maps of a head, (n, K, h, w).
    """
    return maps.float().contiguous()
