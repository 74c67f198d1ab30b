"""Views of an instance: transforms of its crop, and maps of positions between crops.

Shapes: `W, H` network input.

Convention: coordinates are (x, y). A position inside a crop is *relative*, r, so
that the image coordinate is ``center + (r - 1/2) * extent`` along each axis,
whatever the input size or the codec. Two conventions of MMPose meet here:

* plain warp: input pixel p lies at ``r = p / W``;
* UDP warp: input pixel p lies at ``r = p / (W - 1)``.

Mirroring a crop sends input pixel p to ``W - 1 - p``, so r to ``1 - r`` for
UDP but to ``(W - 1) / W - r`` for the plain warp. For a heatmap of stride 4
that is a shift of 3/4 of a cell, which MMPose's ``shift_heatmap`` rounds to 1.

The extent of a crop has the aspect ratio of the input, so a view is the same map
of relative positions for every instance. A view at another resolution shows the same
crop in an input of another size, in its own `Frame`: relative positions stay, except
that mirroring depends on its W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CLOSE = 1e-6
"""Difference of parameters below which two views are the same."""


@dataclass(frozen=True)
class View:
    """Transform of an image around the center of an instance's crop.

    Attributes:
        scale: Magnification of the image, as in the paper (section 4.1): at
            1.5 a person appears 1.5 times as large, so the crop covers 1 / 1.5
            of the width that the reference crop covers.
        flip: Whether the crop is mirrored left to right.
        aspect_ratio: Further magnification of the width alone, as in Detectron:
            at 1.2 a person appears 1.2 times as wide.
        rotation: Degrees by which the crop is rotated, as `bbox_rotation` of
            MMPose's `TopdownAffine`: at 90 the crop's upper edge lies to the
            right in the image.
        resolution: Factor of both sides of the network input: at 1.5 the same crop
            has 1.5 times as many columns and rows of pixels, up to rounding.

    >>> str(View(scale=1.5, flip=True)), View(rotation=30).separable
    ('1.5 flipped', False)
    >>> str(View(resolution=1.33, flip=True))
    '1 at 1.33 flipped'
    """

    scale: float = 1.0
    flip: bool = False
    aspect_ratio: float = 1.0
    rotation: float = 0.0
    resolution: float = 1.0

    def __str__(self) -> str:
        words = [f'{self.scale:g}']
        if self.aspect_ratio != 1:
            words.append(f'aspect {self.aspect_ratio:g}')
        if self.rotation:
            words.append(f'rotated {self.rotation:g}')
        if self.resolution != 1:
            words.append(f'at {self.resolution:g}')
        if self.flip:
            words.append('flipped')
        return ' '.join(words)

    @property
    def separable(self) -> bool:
        """Whether columns of the crop are columns of the image."""
        return self.rotation == 0

    @property
    def pixels(self) -> float:
        """Pixels of its input over those at resolution 1, before rounding."""
        return self.resolution**2


def is_same(view: View, other: View) -> bool:
    """Whether two views are the same, up to full turns and rounding.

    Args:
        view: A view.
        other: Another one.

    >>> is_same(View(rotation=30), View(rotation=390)), is_same(View(), View(flip=True))
    (True, False)
    """
    differences = (
        view.scale / other.scale - 1,
        view.aspect_ratio / other.aspect_ratio - 1,
        math.remainder(view.rotation - other.rotation, 360),
        view.resolution / other.resolution - 1,
    )
    return view.flip == other.flip and all(abs(d) < CLOSE for d in differences)


@dataclass(frozen=True)
class Frame:
    """Frame of the network input, with the convention of its warp.

    Attributes:
        width: Width of the input, pixels.
        height: Height of the input, pixels.
        use_udp: Whether crops are cut with MMPose's UDP warp.
        crop_aspect_ratio: Width over height of the crops; None where it is that of
            the input. The sides of an input at another resolution are rounded, and
            its pixels are then not quite square in the image.

    >>> Frame(192, 256, use_udp=True).spans
    (191, 255)
    >>> Frame(160, 192, use_udp=False, crop_aspect_ratio=0.75).proportions
    (144.0, 192)
    """

    width: int
    height: int
    use_udp: bool
    crop_aspect_ratio: float | None = None

    @property
    def proportions(self) -> tuple[float, float]:
        """Width and height of a crop, to scale."""
        if self.crop_aspect_ratio is None:
            return self.width, self.height
        return self.crop_aspect_ratio * self.height, self.height

    @property
    def spans(self) -> tuple[int, int]:
        """Width and height of a crop in input pixels."""
        shrink = 1 if self.use_udp else 0
        return self.width - shrink, self.height - shrink


def to_view(view: View, frame: Frame, positions: Tensor) -> Tensor:
    """Map relative positions in the reference crop to a view's crop.

    Args:
        view: The view.
        frame: The network input of the view.
        positions: Relative positions in the reference crop, (..., 2).

    Returns:
        Relative positions in the view's crop, (..., 2).

    >>> frame = Frame(4, 4, use_udp=False)
    >>> to_view(View(scale=2, flip=True), frame, torch.tensor([0.25, 0.5])).tolist()
    [0.75, 0.5]
    """
    size = positions.new_tensor(frame.proportions)
    offsets = _rotated((positions - 0.5) * size, -view.rotation)
    shown = offsets * positions.new_tensor(_magnifications(view)) / size + 0.5
    return _mirrored(frame, shown) if view.flip else shown


def to_reference(view: View, frame: Frame, positions: Tensor) -> Tensor:
    """Map relative positions in a view's crop to the reference crop.

    It is the inverse of `to_view`.

    Args:
        view: The view.
        frame: The network input of the view.
        positions: Relative positions in the view's crop, (..., 2).

    Returns:
        Relative positions in the reference crop, (..., 2).

    >>> frame = Frame(4, 4, use_udp=False)
    >>> view, positions = View(scale=2, flip=True), torch.tensor([0.75, 0.5])
    >>> to_reference(view, frame, positions).tolist()
    [0.25, 0.5]
    """
    size = positions.new_tensor(frame.proportions)
    shown = _mirrored(frame, positions) if view.flip else positions
    offsets = (shown - 0.5) * size / positions.new_tensor(_magnifications(view))
    return _rotated(offsets, view.rotation) / size + 0.5


def _magnifications(view: View) -> tuple[float, float]:
    return view.scale * view.aspect_ratio, view.scale


def _mirrored(frame: Frame, positions: Tensor) -> Tensor:
    """Mirror relative positions in a crop."""
    x, y = positions.unbind(-1)
    return torch.stack([(frame.width - 1) / frame.spans[0] - x, y], dim=-1)


def _rotated(offsets: Tensor, degrees: float) -> Tensor:
    if degrees == 0:
        return offsets
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    x, y = offsets.unbind(-1)
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)
