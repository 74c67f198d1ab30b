"""Views: one transform of an image, what its crop shows, and the way back.

Shapes: `W, H` network input.

Convention: coordinates are (x, y). A place inside a crop is its *relative
position* r, so that the image coordinate is ``center + (r - 1/2) * extent``
along each axis, whatever the input size or the codec. Two conventions of
MMPose meet here:

* plain warp: input pixel p lies at ``r = p / W``;
* UDP warp: input pixel p lies at ``r = p / (W - 1)``.

Mirroring a crop sends input pixel p to ``W - 1 - p``, so r to ``1 - r`` for
UDP but to ``(W - 1) / W - r`` for the plain warp. For a heatmap of stride 4
that is a shift of 3/4 of a cell, which MMPose's ``shift_heatmap`` rounds to 1.

The extent of a crop has the aspect ratio of the input, so a view is the same map
of relative positions for every instance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """One transform of an image around the center of an instance's crop.

    Attributes:
        scale: Magnification of the image, as in the paper (section 4.1): at
            1.5 a person appears 1.5 times as large, so the crop covers 1 / 1.5
            of the width that the reference crop covers.
        flip: Whether the crop is mirrored left to right.
        aspect_ratio: Further magnification of the width alone, as in Detectron:
            at 1.2 a person appears 1.2 times as wide.
        rotation: Degrees by which the crop is turned, as `bbox_rotation` of
            MMPose's `TopdownAffine`: at 90 the crop's upper edge lies to the
            right in the image.
    """

    scale: float = 1.0
    flip: bool = False
    aspect_ratio: float = 1.0
    rotation: float = 0.0

    def __str__(self) -> str:
        parts = [f'{self.scale:g}']
        if self.aspect_ratio != 1:
            parts.append(f'aspect {self.aspect_ratio:g}')
        if self.rotation:
            parts.append(f'rotated {self.rotation:g}')
        if self.flip:
            parts.append('flipped')
        return ' '.join(parts)

    @property
    def separable(self) -> bool:
        """Whether columns of the crop are columns of the image."""
        return self.rotation == 0


CLOSE = 1e-6
"""Views whose numbers differ by less than this show the same."""


def is_same(view: View, other: View) -> bool:
    """Whether two views show the same, be it after full turns or by rounding."""
    differences = (
        view.scale / other.scale - 1,
        view.aspect_ratio / other.aspect_ratio - 1,
        math.remainder(view.rotation - other.rotation, 360),
    )
    return view.flip == other.flip and all(abs(d) < CLOSE for d in differences)


@dataclass(frozen=True)
class Frame:
    """The network input, and how crops are warped into it.

    Attributes:
        width: Width of the input, pixels.
        height: Height of the input, pixels.
        use_udp: Whether crops are cut with MMPose's UDP warp.
    """

    width: int
    height: int
    use_udp: bool

    @property
    def spans(self) -> tuple[int, int]:
        """Input pixels from the left and upper edge of a crop to the others."""
        less = 1 if self.use_udp else 0
        return self.width - less, self.height - less


def to_view(view: View, frame: Frame, positions: Tensor) -> Tensor:
    """Where a view shows places of the reference crop.

    Args:
        view: The view.
        frame: The network input.
        positions: Relative positions in the reference crop, (..., 2).

    Returns:
        Relative positions in the view's crop, (..., 2).
    """
    size = positions.new_tensor([frame.width, frame.height])
    offsets = _turned((positions - 0.5) * size, -view.rotation)
    shown = offsets * positions.new_tensor(_magnifications(view)) / size + 0.5
    return _mirrored(frame, shown) if view.flip else shown


def to_reference(view: View, frame: Frame, positions: Tensor) -> Tensor:
    """Places of the reference crop that a view shows; the inverse of `to_view`.

    Args:
        view: The view.
        frame: The network input.
        positions: Relative positions in the view's crop, (..., 2).

    Returns:
        Relative positions in the reference crop, (..., 2).
    """
    size = positions.new_tensor([frame.width, frame.height])
    shown = _mirrored(frame, positions) if view.flip else positions
    offsets = (shown - 0.5) * size / positions.new_tensor(_magnifications(view))
    return _turned(offsets, view.rotation) / size + 0.5


def _magnifications(view: View) -> tuple[float, float]:
    return view.scale * view.aspect_ratio, view.scale


def _mirrored(frame: Frame, positions: Tensor) -> Tensor:
    """Relative positions, in a crop, of what lies at them in its mirror image."""
    x, y = positions.unbind(-1)
    return torch.stack([(frame.width - 1) / frame.spans[0] - x, y], dim=-1)


def _turned(offsets: Tensor, degrees: float) -> Tensor:
    if degrees == 0:
        return offsets
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = offsets.unbind(-1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)
