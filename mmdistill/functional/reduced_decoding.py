"""Reduced decoding: an image is decoded smaller where no view needs all its pixels.

A JPEG can be decoded at 1/2, 1/4 or 1/8 of its size, which takes a part of the time.
Each pixel is then the mean of a square of the image, which bilinear reading of the
whole image is not; so labels differ a little. An image is reduced only as far as an
input pixel of every view is still two pixels of the reduced image wide: at one, crops
are blurred and labels become worse.

Shapes: `N` boxes, `V` views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from mmdistill.functional.crops import boxes_to_crops
from mmdistill.functional.image_frames import ResizeRule, Size

REDUCTION = 'reduction'
"""Entry of a sample's metainfo: the reduction of its image, where it is not 1."""
REDUCTIONS = (8, 4, 2)
"""Factors by which decoders reduce JPEGs, the largest first."""
LEAST_STEP = 2
"""Pixels of a reduced image between neighboring input pixels, at least."""


class Sampling(Protocol):
    """How densely the views of teachers sample an image.

    >>> sampling: Sampling = ImageSampling(ResizeRule((160, 160)), resolutions=(1.0,))
    >>> reduction_of(sampling.least_step(np.zeros((0, 4)), image_size=(640, 480)))
    2
    """

    def least_step(self, boxes: np.ndarray, image_size: Size) -> float:
        """Compute the least step between neighboring input pixels.

        Args:
            boxes: Boxes (x1, y1, x2, y2) in pixels of the image, (N, 4).
            image_size: Width and height of the image, pixels.

        Returns:
            The step, pixels of the image; infinite where nothing is shown.
        """


def reduction_of(step: float) -> int:
    """Choose the reduction of an image.

    Args:
        step: Least step between neighboring input pixels, pixels of the image.

    Returns:
        The largest of `REDUCTIONS` that leaves a step of `LEAST_STEP`, else 1.

    >>> [reduction_of(step) for step in (3.9, 4.0, 15.0, float('inf'))]
    [1, 2, 4, 8]
    """
    return next((f for f in REDUCTIONS if f * LEAST_STEP <= step), 1)


def reduction_in(metainfo: Mapping[str, Any]) -> int:
    """Return by how much the image of a sample was reduced, 1 if it was not.

    Args:
        metainfo: Metainfo of the sample.

    >>> reduction_in({'ori_shape': (480, 640)}), reduction_in({REDUCTION: 4})
    (1, 4)
    """
    reduction: int = metainfo.get(REDUCTION, 1)
    return reduction


def reduced_size(size: Size, reduction: int) -> Size:
    """Compute the size of a reduced image, as libjpeg rounds it.

    Args:
        size: Width and height of the image, pixels.
        reduction: The reduction.

    >>> reduced_size((641, 480), 2)
    (321, 240)
    """
    width, height = (-(-side // reduction) for side in size)
    return width, height


@dataclass(frozen=True)
class CropSampling:
    """Sampling of the crops of a top-down teacher.

    Attributes:
        padding: Factor by which a crop is larger than its box.
        aspect_ratio: Width over height of the network input.
        steps: Steps to the next input pixel along x and along y of each view, in
            extents of the crop (x, y), as of `input_walk`, (V, 2, 2).

    >>> halves = np.array([[[1 / 50, 0.0], [0.0, 1 / 100]]])
    >>> sampling = CropSampling(padding=1.0, aspect_ratio=0.5, steps=halves)
    >>> sampling.least_step(np.array([[0.0, 0.0, 100.0, 200.0]]), (640, 480))
    2.0
    """

    padding: float
    aspect_ratio: float
    steps: np.ndarray

    def least_step(self, boxes: np.ndarray, image_size: Size) -> float:
        """Compute the least step, see `Sampling`."""
        rows = torch.from_numpy(np.asarray(boxes, dtype=np.float64).reshape(-1, 4))
        extents = boxes_to_crops(rows, self.padding, self.aspect_ratio).extents.numpy()
        steps = np.linalg.norm(self.steps * extents[:, None, None], axis=-1)
        return float(steps.min(initial=np.inf))


@dataclass(frozen=True)
class ImageSampling:
    """Sampling of the inputs of a teacher that is shown whole images.

    Attributes:
        rule: Sizes of its inputs.
        resolutions: Resolutions of the views.

    >>> sampling = ImageSampling(ResizeRule((320, 320)), resolutions=(0.5, 1.0))
    >>> sampling.least_step(np.zeros((0, 4)), (640, 480))
    2.0
    """

    rule: ResizeRule
    resolutions: Sequence[float]

    def least_step(self, boxes: np.ndarray, image_size: Size) -> float:
        """Compute the least step, see `Sampling`."""
        frames = [self.rule.frame(image_size, value) for value in self.resolutions]
        steps = [np.divide(frame.extent, frame.size).min() for frame in frames]
        return float(min(steps))


@dataclass(frozen=True)
class SamplingOfAll:
    """Sampling of several teachers together.

    Attributes:
        parts: That of each.

    >>> rules = ResizeRule((320, 320)), ResizeRule((640, 640))
    >>> parts = [ImageSampling(rule, resolutions=(1.0,)) for rule in rules]
    >>> SamplingOfAll(parts).least_step(np.zeros((0, 4)), (640, 480))
    1.0
    """

    parts: Sequence[Sampling]

    def least_step(self, boxes: np.ndarray, image_size: Size) -> float:
        """Compute the least step, see `Sampling`."""
        return min(part.least_step(boxes, image_size) for part in self.parts)
