"""Adapter of heads whose output is one vector per keypoint and axis (SimCC, RTMPose).

Shapes: `N` instances, `n` of them in a view, `K` keypoints, `w, h` bins.

A bin b means ``p = b / r`` input pixels, where r is the codec's split ratio. A
mirror image shows pixel p at ``W - 1 - p``, so bin b at ``r * (W - 1) - b``.
MMPose's own flip test reverses the vector, which takes bin b to
``r * W - 1 - b``: it is off by ``r - 1`` bins, half an input pixel at its ratio
of 2. Here the mirror is exact; the last ``r - 1`` bins lie beyond the last pixel
of the mirror image, which has no evidence of them.

Each axis is fused independently. The outer product of the two vectors is never formed:
it is hundreds of times as large and holds no more information.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import FUSIONS, PeakSpread, Rows, fill_uncovered
from mmdistill.functional.inverse_views import Axis, inverse_matrix, reference_positions
from mmdistill.functional.subcell import refine_bins
from mmdistill.functional.views import Frame, View
from mmdistill.models.adapters.base import (
    SUB_CELL,
    Adapter,
    DecodedPoses,
    check_same_family,
    decode_with,
)
from mmdistill.models.keypoints import swap_left_right


class SimCCAdapter:
    """Adapter of vectors: the positions of their bins, and the inverses of views.

    Args:
        head: A head of MMPose whose forward returns two tensors, (N, K, w) and
            (N, K, h).
        use_udp: Whether crops are cut with MMPose's UDP warp.

    Attributes:
        frame: The network input.
        axes: The x and y axis of the vectors.
        agreement_from: Peaks that agreement compares.
    """

    output = 'a vector for each axis'
    num_cells = 0
    agreement_from = SUB_CELL

    def __init__(self, head: Any, use_udp: bool | None = None) -> None:
        self._head = head
        width, height = (int(pixels) for pixels in head.decoder.input_size)
        self.frame = Frame(width, height, bool(use_udp))
        ratio = head.decoder.simcc_split_ratio
        x, y = (
            Axis(cells, stride=1 / ratio, offset=0.0, pixels=span)
            for cells, span in zip(bins_of(head.decoder), self.frame.spans, strict=True)
        )
        self.axes = x, y
        self._matrices: dict[tuple[View, torch.device], tuple[Tensor, Tensor]] = {}

    def frame_of(self, view: View) -> Frame:
        """Return the network input, which is the same for all views."""
        return self.frame

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Check that no view rotates the crop; see `Adapter.check`."""
        for view in views:
            if not view.separable:
                raise ConfigError(
                    f'{type(self._head).__name__} predicts x and y separately, which '
                    'cannot be rotated back: views of it must not be rotated, as with '
                    f'distill.views.rotations=(), got the view {view}'
                )

    def check_partner(self, other: Adapter, same_crops: bool) -> None:
        """Check that both have the same bins and head; see `Adapter.check_partner`."""
        check_same_family(self, other)
        assert isinstance(other, SimCCAdapter)
        heads = [type(each._head).__name__ for each in (self, other)]
        if not same_crops or self.axes != other.axes or heads[0] != heads[1]:
            raise ConfigError(
                'vectors of an ensemble must have the same bins and scale: the same '
                f'head, got {heads[0]} and {heads[1]}, and the same input_size and '
                'simcc_split_ratio of the codec and padding of boxes'
            )

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """Extract both vectors, single precision, (n, K, w) and (n, K, h)."""
        x, y = output
        return x.float(), y.float()

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> SimCCFusion:
        """Begin the fusion of some instances; see `Adapter.start`."""
        return SimCCFusion(self, num_instances, flip_indices, fusion)

    def undo(self, view: View, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the matrices that undo a view, one an axis, built once per device."""
        key = (view, device)
        if key not in self._matrices:
            x, y = (
                inverse_matrix(view, self.frame, self.axes, i).to(device)
                for i in range(2)
            )
            self._matrices[key] = x, y
        return self._matrices[key]

    def decode(self, x: Tensor, y: Tensor) -> DecodedPoses:
        """Decode vectors of the reference crop, (N, K, w) and (N, K, h)."""
        return decode_with(self._head, (x, y))


class SimCCFusion:
    """Running fusion of some instances over their views, axis by axis."""

    def __init__(
        self,
        adapter: SimCCAdapter,
        num_instances: int,
        flip_indices: Sequence[int],
        fusion: str,
    ) -> None:
        self._adapter = adapter
        self._flip_indices = list(flip_indices)
        self._fused = tuple(FUSIONS[fusion](num_instances) for _ in range(2))
        self._spread = PeakSpread(num_instances)

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Undo one view of some instances and add it; see `Fusion.add`."""
        adapter = self._adapter
        if view.flip:
            evidence = tuple(
                swap_left_right(vectors, self._flip_indices) for vectors in evidence
            )
        values, bins = zip(*(vectors.max(dim=2) for vectors in evidence), strict=True)
        refined = map(refine_bins, evidence, bins, values)
        cells = torch.stack(list(refined), dim=-1)
        peaks = reference_positions(view, adapter.frame, adapter.axes, cells)
        self._spread.add(crops.to_image(peaks), torch.minimum(*values), rows)
        matrices = adapter.undo(view, evidence[0].device)
        for fused, vectors, matrix in zip(self._fused, evidence, matrices, strict=True):
            fused.add(vectors @ matrix.T, matrix.sum(1).round(), rows)

    def result(self) -> tuple[Tensor, Tensor]:
        """Return the fused vectors of the reference crop, (N, K, w) and (N, K, h)."""
        x, y = (fill_uncovered(axis.result(), axis.covered()) for axis in self._fused)
        return x, y

    def decode(self) -> DecodedPoses:
        """Decode the fused poses."""
        return self._adapter.decode(*self.result())

    def spread(self) -> Tensor:
        """Compute the mean squared distance of the views' peaks, pixels², (N, K)."""
        return self._spread.result()

    @property
    def peaks(self) -> PeakSpread:
        """The running spread of the views' peaks, in the image."""
        return self._spread

    def merge(self, other: SimCCFusion, crops: Crops, other_crops: Crops) -> None:
        """Add the views of another teacher in the same bins; see `Fusion.merge`."""
        for fused, others in zip(self._fused, other._fused, strict=True):
            fused.merge(others)  # type: ignore[arg-type]
        self._spread.merge(other._spread)


def bins_of(decoder: Any) -> tuple[int, int]:
    """Compute the number of bins along x and y of a SimCC codec.

    Args:
        decoder: A codec of MMPose with `input_size` and `simcc_split_ratio`.
    """
    x, y = (round(pixels * decoder.simcc_split_ratio) for pixels in decoder.input_size)
    return x, y
