"""Adapter of heads whose output is coordinates (regression, RLE, integral, DSNT).

Shapes: `N` instances, `n` of them in a view, `K` keypoints.

Coordinates are shares of the network input: c means ``p = c * W`` input pixels. A
view is undone exactly, by mapping its coordinates to the reference crop; for the
mirror image of a plain warp that is ``1 - c - 1 / W``, as in MMPose's own flip test
with `shift_coords`.

Coordinates of the views are averaged, each weighted by its score where the head
predicts one (RLE), so that a view without evidence of a joint does not displace
it. MMPose's flip test averages without weights; the scores of both are the mean
of the views' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmdistill.errors import ConfigError
from mmdistill.functional.crops import Crops
from mmdistill.functional.fusion import MaskedMean, PeakSpread, Rows
from mmdistill.functional.views import Frame, View, to_reference
from mmdistill.models.adapters.base import (
    Adapter,
    DecodedPoses,
    check_same_family,
    decode_with,
)
from mmdistill.models.keypoints import swap_left_right

LEAST_WEIGHT = 1e-6
"""Minimum weight of a view, so that views without scores count equally."""


class CoordinateAdapter:
    """Adapter of coordinates, which are mapped to the reference crop.

    Args:
        head: A head of MMPose whose forward returns coordinates (N, K, 2), or
            (N, K, 4) with two raw deviations each, or a tuple that starts with them.
        use_udp: Whether crops are cut with MMPose's UDP warp.

    Attributes:
        frame: The network input.
        agreement_from: None: its peaks are those of the model.
    """

    output = 'coordinates'
    num_cells = 0
    agreement_from = None

    def __init__(self, head: Any, use_udp: bool | None = None) -> None:
        self._head = head
        self.frame = Frame(*input_size_of(head.decoder), bool(use_udp))

    def frame_of(self, view: View) -> Frame:
        """Return the network input, which is the same for all views."""
        return self.frame

    def check(self, views: Sequence[View], fusion: str) -> None:
        """Check that coordinates are averaged; see `Adapter.check`."""
        if fusion != 'mean':
            raise ConfigError(
                f'{type(self._head).__name__} predicts coordinates, which have a mean '
                f"and no maximum: fusion must be 'mean', got {fusion!r}; set "
                "distill.views.fusion='mean'"
            )

    def check_partner(self, other: Adapter, same_crops: bool) -> None:
        """Check that both have scores or none; see `Adapter.check_partner`."""
        check_same_family(self, other)
        assert isinstance(other, CoordinateAdapter)
        if not same_crops:
            raise ConfigError(
                'coordinates of an ensemble must be of the same crops: the same aspect '
                'ratio of input_size and the same padding of boxes'
            )
        heads = [type(each._head).__name__ for each in (self, other)]
        if heads[0] != heads[1]:
            raise ConfigError(
                'coordinates of an ensemble must be of the same head, whose scores '
                f'mean the same, got {heads[0]} and {heads[1]}'
            )

    def evidence(self, output: Any) -> tuple[Tensor, ...]:
        """Extract coordinates (n, K, 2) and deviations (n, K, 2), or (n, K, 0) without.

        Deviations are the sigmoid of the head's output, as in its own predict.
        """
        output = coordinates_of(output).float()
        return output[..., :2], output[..., 2:].sigmoid()

    def start(
        self, num_instances: int, flip_indices: Sequence[int], fusion: str
    ) -> CoordinateFusion:
        """Begin the fusion of some instances; see `Adapter.start`."""
        return CoordinateFusion(self, num_instances, flip_indices)

    def undo(self, view: View, coordinates: Tensor) -> Tensor:
        """Map a view's coordinates to relative positions in the reference crop.

        Args:
            view: The view.
            coordinates: Shares of the network input, (n, K, 2).
        """
        return to_reference(view, self.frame, coordinates * self._shares(coordinates))

    def decode(self, positions: Tensor, deviations: Tensor) -> DecodedPoses:
        """Decode relative positions in the reference crop, (N, K, 2).

        Args:
            positions: The positions.
            deviations: Their deviations, (N, K, 2), or (N, K, 0) without.
        """
        coordinates = positions / self._shares(positions)
        fused = torch.cat([coordinates, deviations], dim=-1)
        return decode_with(self._head, fused[:, None])

    def _shares(self, like: Tensor) -> Tensor:
        """Relative positions per share of the network input, (2,)."""
        size = like.new_tensor([self.frame.width, self.frame.height])
        return size / like.new_tensor(self.frame.spans)


class CoordinateFusion:
    """Running fusion of some instances over their views."""

    def __init__(
        self,
        adapter: CoordinateAdapter,
        num_instances: int,
        flip_indices: Sequence[int],
    ) -> None:
        self._adapter = adapter
        self._flip_indices = list(flip_indices)
        # The mean is kept in the crop and the spread in the image, so that neither
        # loses digits to the position of the crop.
        self._positions = PeakSpread(num_instances)
        self._spread = PeakSpread(num_instances)
        self._deviations = MaskedMean(num_instances)

    def add(
        self, view: View, evidence: tuple[Tensor, ...], crops: Crops, rows: Rows
    ) -> None:
        """Undo one view of some instances and add it; see `Fusion.add`."""
        if view.flip:
            evidence = tuple(
                swap_left_right(values, self._flip_indices) for values in evidence
            )
        coordinates, deviations = evidence
        positions = self._adapter.undo(view, coordinates)
        weights = view_weights(deviations)
        self._positions.add(positions, weights, rows)
        self._spread.add(crops.to_image(positions), weights, rows)
        everywhere = deviations.new_ones(deviations.shape[2])
        self._deviations.add(deviations, everywhere, rows)

    def decode(self) -> DecodedPoses:
        """Decode the fused poses."""
        return self._adapter.decode(self._positions.mean(), self._deviations.result())

    def spread(self) -> Tensor:
        """Compute the mean squared distance of the views' points, pixels², (N, K)."""
        return self._spread.result()

    @property
    def peaks(self) -> PeakSpread:
        """The running spread of the views' peaks, in the image."""
        return self._spread

    def merge(self, other: CoordinateFusion, crops: Crops, other_crops: Crops) -> None:
        """Add the views of another teacher, in the same crops; see `Fusion.merge`."""
        self._positions.merge(other._positions)
        self._spread.merge(other._spread)
        self._deviations.merge(other._deviations)


def view_weights(deviations: Tensor) -> Tensor:
    """Compute weights of a view's keypoints: scores, 1 for heads without, (n, K).

    Args:
        deviations: Deviations in [0, 1], (n, K, 2), or (n, K, 0) without.
    """
    if not deviations.shape[2]:
        return deviations.new_ones(deviations.shape[:2])
    return (1 - deviations).mean(dim=2).clamp(min=LEAST_WEIGHT)


def coordinates_of(output: Any) -> Any:
    """Return the coordinates of a head's output, which may include heatmaps."""
    return output[0] if isinstance(output, tuple) else output


def input_size_of(decoder: Any) -> tuple[int, int]:
    """Return width and height of a codec's network input, pixels.

    Args:
        decoder: A codec of MMPose, which may wrap one of coordinates.

    Raises:
        AttributeError: If it has no input size.
    """
    width, height = getattr(decoder, 'keypoint_codec', decoder).input_size
    return int(width), int(height)
