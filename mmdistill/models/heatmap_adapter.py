"""Fusing heads whose output is one heatmap per keypoint.

Shapes: `N` instances, `K` keypoints, `w, h` heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdistill.errors import UserError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import FUSIONS, PeakSpread, heatmap_peaks
from mmdistill.functional.views import (
    Axis,
    View,
    reference_positions,
    undo_matrix,
    undo_view,
)


class HeatmapAdapter:
    """Knows where the cells of a head's heatmaps lie, and how to undo a view.

    Asks the codec instead of knowing it: two one-hot heatmaps are decoded, and
    the two places say what stride and offset the codec's cells have.

    Args:
        head: A head of MMPose whose forward returns heatmaps (N, K, h, w).
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            codec needs it.

    Attributes:
        use_udp: The same, decided.
        axes: The x and y axis of the heatmaps.

    Raises:
        UserError: If the head's codec does not decode plain heatmaps.
    """

    def __init__(self, head: Any, use_udp: bool | None = None) -> None:
        decoder = head.decoder
        if getattr(decoder, 'heatmap_type', 'gaussian') == 'combined':
            raise UserError(
                f'{type(head).__name__} with a {type(decoder).__name__} of '
                "heatmap_type 'combined' predicts offsets beside its heatmaps, "
                'which can not be fused yet; use a codec of plain heatmaps'
            )
        self.use_udp = needs_udp(decoder) if use_udp is None else use_udp
        self.axes = heatmap_axes(decoder, self.use_udp)
        self._matrices: dict[tuple[View, torch.device], tuple[Tensor, Tensor]] = {}

    def start(self, flip_indices: Sequence[int], fusion: str) -> HeatmapFusion:
        """Begin the fusion of some instances.

        Args:
            flip_indices: For each keypoint the one that a mirror makes of it, (K,).
            fusion: 'mean' or 'max'.
        """
        return HeatmapFusion(self, flip_indices, fusion)

    def undo_matrices(self, view: View, device: torch.device) -> tuple[Tensor, Tensor]:
        """`undo_matrix` of both axes, (w, w) and (h, h), made once per device."""
        key = (view, device)
        if key not in self._matrices:
            columns, rows = (
                torch.from_numpy(undo_matrix(view, axis, axis is self.axes[0]))
                .to(torch.float32)
                .to(device)
                for axis in self.axes
            )
            self._matrices[key] = (columns, rows)
        return self._matrices[key]


class HeatmapFusion:
    """The running fusion of some instances over their views."""

    def __init__(
        self, adapter: HeatmapAdapter, flip_indices: Sequence[int], fusion: str
    ) -> None:
        self._adapter = adapter
        self._flip_indices = list(flip_indices)
        self._fused = FUSIONS[fusion]()
        self._spread = PeakSpread()

    def add(self, view: View, heatmaps: Tensor, crops: Crops) -> None:
        """Undo one view and add it.

        Args:
            view: The view.
            heatmaps: The head's output for it, (N, K, h, w).
            crops: The reference crops.
        """
        heatmaps = heatmaps.float()
        if view.flip:
            heatmaps = heatmaps[:, self._flip_indices]
        peaks, weights = heatmap_peaks(heatmaps)
        positions = [
            reference_positions(view, axis, i == 0, peaks[..., i])
            for i, axis in enumerate(self._adapter.axes)
        ]
        self._spread.add(crops.to_image(torch.stack(positions, dim=-1)), weights)
        columns, rows = self._adapter.undo_matrices(view, heatmaps.device)
        coverage = rows.sum(1)[:, None] * columns.sum(1)
        self._fused.add(undo_view(heatmaps, columns, rows), coverage.round())

    def result(self) -> Tensor:
        """Fused heatmaps in the reference crop, (N, K, h, w)."""
        return self._fused.result()

    def spread(self) -> Tensor:
        """Mean squared distance of the views' peaks, squared pixels, (N, K)."""
        return self._spread.result()


def needs_udp(decoder: Any) -> bool:
    """Whether a codec expects crops cut with MMPose's UDP warp.

    A UDP codec decodes its last cell to the far edge of the input.
    """
    axis = heatmap_axes(decoder, use_udp=False)[0]
    return bool(np.isclose(axis.stride * (axis.cells - 1), axis.pixels))


def heatmap_axes(decoder: Any, use_udp: bool) -> tuple[Axis, Axis]:
    """The x and y axis of a codec's heatmaps, found by decoding two of them.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
        use_udp: Whether crops are cut with MMPose's UDP warp.
    """
    width, height = (int(length) for length in decoder.heatmap_size)
    low, high = (width // 4, height // 4), (3 * width // 4, 3 * height // 4)
    first, last = (_decoded_cell(decoder, cell) for cell in (low, high))
    return tuple(  # type: ignore[return-value]
        Axis(
            cells=int(decoder.heatmap_size[i]),
            stride=(stride := float((last[i] - first[i]) / (high[i] - low[i]))),
            offset=float(first[i] - stride * low[i]),
            pixels=int(decoder.input_size[i]),
            use_udp=use_udp,
        )
        for i in range(2)
    )


def _decoded_cell(decoder: Any, cell: tuple[int, int]) -> np.ndarray:
    """Input pixel (x, y) that the codec decodes a single bright cell to."""
    width, height = decoder.heatmap_size
    heatmap = np.zeros((1, int(height), int(width)), dtype=np.float32)
    heatmap[0, cell[1], cell[0]] = 1
    keypoints, _ = decoder.decode(heatmap)
    return np.asarray(keypoints, dtype=np.float64)[0, 0]
