"""Adapter of heads whose output is one heatmap per keypoint.

Shapes: `N` instances, `n` of them in a view, `K` keypoints, `w, h` heatmap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import FUSIONS, PeakSpread, Rows, heatmap_peaks
from mmdistill.functional.inverse_views import (
    Axis,
    InverseView,
    InverseWarps,
    reference_positions,
)
from mmdistill.functional.views import Frame, View
from mmdistill.models.adapters.base import DecodedPoses
from mmdistill.models.adapters.flat_heatmaps import HeatmapDecoder
from mmdistill.models.keypoints import swap_left_right


class HeatmapAdapter:
    """Adapter of heatmaps: the positions of their cells, and the inverses of views.

    Codecs are probed: two one-hot heatmaps are decoded, and the two positions give the
    stride and offset of the codec's cells.

    Args:
        head: A head of MMPose whose forward returns heatmaps (N, K, h, w), or a
            list of them, one a stage, of which the last one counts.
        use_udp: Whether crops are cut with MMPose's UDP warp; by default as the
            codec requires.

    Attributes:
        frame: The network input.
        axes: The x and y axis of the heatmaps.
    """

    def __init__(self, head: Any, use_udp: bool | None = None) -> None:
        decoder = head.decoder
        width, height = (int(pixels) for pixels in decoder.input_size)
        self.frame = Frame(
            width, height, needs_udp(decoder) if use_udp is None else use_udp
        )
        self.axes = peak_axes(decoder, self.frame)
        self._inverses = InverseWarps(self.frame, self.axes)
        self._decoder = HeatmapDecoder(head, heatmap_axes(decoder))

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Accept all views: heatmaps can be rotated back, and have a maximum."""

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
        return self._inverses.get(view, device)

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
        peaks = reference_positions(view, adapter.frame, adapter.axes, cells)
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


def has_offsets(decoder: Any) -> bool:
    """Whether a codec has two maps of offsets with each heatmap."""
    return getattr(decoder, 'heatmap_type', 'gaussian') == 'combined'


def needs_udp(decoder: Any) -> bool:
    """Whether a codec expects crops cut with MMPose's UDP warp.

    A UDP codec decodes its last cell to the far edge of the input.
    """
    axis = heatmap_axes(decoder)[0]
    return bool(np.isclose(axis.stride * (axis.cells - 1), axis.pixels))


def peak_axes(decoder: Any, frame: Frame) -> tuple[Axis, Axis]:
    """Compute the x and y axis of a codec's heatmaps, by the peaks of a network.

    A network learns the encoder of the codec, which defines the positions of the cells.
    For MMPose's codecs these are, on average over a cell, those of the decoder
    (Megvii's encoder rounds down and its decoder adds half a cell), in pixels of a UDP
    warp for a UDP codec. The two differ only where crops are cut with another warp than
    the codec's, by a factor of ``(W - 1) / W``: views are undone by the positions of
    the peaks, and the fused heatmaps decoded as MMPose does.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
        frame: Network input, with the warp that crops are cut with.
    """
    needed = Frame(frame.width, frame.height, needs_udp(decoder))
    x, y = (
        replace(axis, pixels=axis.pixels * span / needed_span)
        for axis, span, needed_span in zip(
            heatmap_axes(decoder), frame.spans, needed.spans, strict=True
        )
    )
    return x, y


def heatmap_axes(decoder: Any) -> tuple[Axis, Axis]:
    """Determine the x and y axis of a codec's heatmaps by decoding two of them.

    Args:
        decoder: A codec of MMPose with `input_size` and `heatmap_size`.
    """
    width, height = (int(length) for length in decoder.heatmap_size)
    # Far from the border, at which some codecs blur the cells.
    low = 3 * width // 8, 3 * height // 8
    high = 5 * width // 8, 5 * height // 8
    first, last = (_decoded_cell(decoder, cell) for cell in (low, high))
    return tuple(  # type: ignore[return-value]
        Axis(
            cells=int(decoder.heatmap_size[i]),
            stride=(stride := float((last[i] - first[i]) / (high[i] - low[i]))),
            offset=float(first[i] - stride * low[i]),
            pixels=int(decoder.input_size[i]),
        )
        for i in range(2)
    )


def _decoded_cell(decoder: Any, cell: tuple[int, int]) -> np.ndarray:
    """Input pixel (x, y) that the codec decodes a single bright cell to."""
    width, height = decoder.heatmap_size
    maps = 3 if has_offsets(decoder) else 1
    heatmap = np.zeros((maps, int(height), int(width)), dtype=np.float32)
    heatmap[0, cell[1], cell[0]] = 1
    keypoints, _ = decoder.decode(heatmap)
    return np.asarray(keypoints, dtype=np.float64)[0, 0]
