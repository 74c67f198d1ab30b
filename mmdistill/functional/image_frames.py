"""Frames of whole images: the network input that shows an image, and the way back.

A model that finds instances itself takes whole images, which MMPose's `BottomupResize`
centers in an input. A view at another resolution shows the same image in a larger or
smaller input, so that every view sees all of it.

Shapes: `N` instances, `K` keypoints. Sizes are (width, height) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Size = tuple[int, int]
"""Width and height, pixels."""
RESIZE_MODES = ('fit', 'expand', 'rescale')
"""Modes of `BottomupResize`, the image fits into the input or fills at least it, and
that of `BottomupRandomChoiceResize`, where the input is the image alone."""


@dataclass(frozen=True)
class ImageFrame:
    """Network input that shows a whole image, and the region of the image in it.

    Attributes:
        size: Width and height of the input, pixels.
        center: Point of the image at the middle of the input, pixels of the image.
        extent: Width and height of the region that the input shows, pixels of the
            image; beyond the image the input is padded.

    >>> frame = ImageFrame((64, 64), center=(50.0, 25.0), extent=(100.0, 100.0))
    >>> frame.to_image(np.array([[[32.0, 32.0], [0.0, 16.0]]])).tolist()
    [[[50.0, 25.0], [0.0, 0.0]]]
    """

    size: Size
    center: tuple[float, float]
    extent: tuple[float, float]

    def reduced(self, reduction: int) -> ImageFrame:
        """Convert to pixels of the image as it was decoded at a part of its size.

        Args:
            reduction: Factor by which the decoded image is smaller.

        >>> frame = ImageFrame((32, 32), center=(49.5, 24.5), extent=(100.0, 100.0))
        >>> frame.reduced(2).center, frame.reduced(2).extent
        ((24.5, 12.0), (50.0, 50.0))
        """
        if reduction == 1:
            return self
        x, y = ((value + 0.5) / reduction - 0.5 for value in self.center)
        width, height = (value / reduction for value in self.extent)
        return ImageFrame(self.size, (x, y), (width, height))

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Convert points in the input to pixels of the image, as MMPose does.

        Args:
            points: Points (x, y), pixels of the input, (..., 2).

        Returns:
            Points in pixels of the image, (..., 2).
        """
        center, extent = np.array([self.center, self.extent], dtype=np.float32)
        in_image: np.ndarray = points / self.size * extent + center - 0.5 * extent
        return in_image

    def boxes_to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Convert boxes in the input to pixels of the image.

        Args:
            boxes: Boxes (x1, y1, x2, y2), pixels of the input, (N, 4).

        Returns:
            Boxes in pixels of the image, (N, 4).
        """
        return self.to_image(boxes.reshape(-1, 2, 2)).reshape(-1, 4)

    def mirrored(
        self, points: np.ndarray, flip_indices: Sequence[int] | None = None
    ) -> np.ndarray:
        """Mirror points in the input: pixel x becomes W - 1 - x, as in MMPose.

        Args:
            points: Points (x, y), pixels of the input, (N, K, 2).
            flip_indices: Mirror partner of each point, (K,); by default itself.

        Returns:
            The points in the input that is mirrored to this one, (N, K, 2).

        >>> frame = ImageFrame((64, 64), center=(32.0, 32.0), extent=(64.0, 64.0))
        >>> frame.mirrored(np.array([[[0.0, 5.0], [10.0, 7.0]]]), [1, 0]).tolist()
        [[[53.0, 7.0], [63.0, 5.0]]]
        """
        flipped = points if flip_indices is None else points[:, list(flip_indices)]
        flipped = flipped.copy()
        flipped[..., 0] = self.size[0] - 1 - flipped[..., 0]
        return flipped

    def mirrored_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Mirror boxes in the input, as MMPose does.

        Args:
            boxes: Boxes (x1, y1, x2, y2), pixels of the input, (N, 4).

        >>> frame = ImageFrame((64, 64), center=(32.0, 32.0), extent=(64.0, 64.0))
        >>> frame.mirrored_boxes(np.array([[0.0, 1.0, 10.0, 20.0]])).tolist()
        [[53.0, 1.0, 63.0, 20.0]]
        """
        corners = self.mirrored(boxes.reshape(-1, 2, 2), [1, 0])
        corners[..., 1] = corners[:, ::-1, 1]
        return corners.reshape(-1, 4)


@dataclass(frozen=True)
class ResizeRule:
    """Rule by which whole images become network inputs, as by transforms of MMPose.

    Attributes:
        input_size: Width and height of the input at resolution 1, pixels.
        mode: 'fit', where the whole image fits into an input of that size, 'expand',
            where the shorter side fills it and the input grows with the longer one, or
            'rescale', where the input is the image, as large as its longer and shorter
            sides fit into those of `input_size`.
        size_factor: Number that divides both sides of an input, unless it is the image.

    Raises:
        ValueError: If the mode is none of these, a size is not positive, or an input
            that is to be fitted has sides that are no multiples of the factor.

    >>> rule = ResizeRule((64, 64), mode='fit', size_factor=32)
    >>> rule.frame((200, 100)).size, rule.frame((200, 100), resolution=1.4).size
    ((64, 64), (96, 96))
    >>> rule.frame((200, 100)).extent
    (200.0, 200.0)
    >>> ResizeRule((64, 64), mode='expand', size_factor=32).frame((200, 100)).size
    (128, 64)
    >>> ResizeRule((80, 60), mode='rescale', size_factor=1).frame((100, 200)).size
    (40, 80)
    """

    input_size: Size
    mode: str = 'fit'
    size_factor: int = 32

    def __post_init__(self) -> None:
        if self.mode not in RESIZE_MODES:
            raise ValueError(f'mode must be one of {[*RESIZE_MODES]}, got {self.mode}')
        if min(*self.input_size, self.size_factor) < 1:
            raise ValueError(
                'input_size and size_factor must be positive, got '
                f'{self.input_size} and {self.size_factor}'
            )
        if self.mode == 'fit' and self._ceil(self.input_size) != self.input_size:
            raise ValueError(
                'an input that images are fitted into must have sides that are '
                f'multiples of size_factor={self.size_factor}, got {self.input_size}'
            )

    def frame(self, image_size: Size, resolution: float = 1.0) -> ImageFrame:
        """Compute the frame of an image.

        Args:
            image_size: Width and height of the image, pixels.
            resolution: Factor of both sides of the input; the result is rounded up to
                multiples of `size_factor`.
        """
        width, height = image_size
        if self.mode == 'rescale':
            return self._rescaled(image_size, resolution)
        ratio = width / height
        padded = self.base_size(resolution)
        x, y = padded
        # The part of the input that the image fills.
        actual = (
            (min(x, y * ratio), min(y, x / ratio))
            if self.mode == 'fit'
            else (max(x, y * ratio), max(y, x / ratio))
        )
        if self.mode == 'expand':
            padded = self._ceil(actual)
        return ImageFrame(
            size=padded,
            center=(width / 2, height / 2),
            extent=(width * padded[0] / actual[0], height * padded[1] / actual[1]),
        )

    def _rescaled(self, image_size: Size, resolution: float) -> ImageFrame:
        """Frame of an image that is the whole input, rounded as in MMCV.

        MMPose brings each coordinate back by the factor of the other side, which is
        the same but for the rounding of the input.
        """
        limits = [side * resolution for side in sorted(self.input_size)]
        factor = min(
            limit / side for limit, side in zip(limits, sorted(image_size), strict=True)
        )
        width, height = (max(int(side * factor + 0.5), 1) for side in image_size)
        x = width * image_size[1] / height
        y = height * image_size[0] / width
        return ImageFrame((width, height), (x / 2, y / 2), (x, y))

    def base_size(self, resolution: float) -> Size:
        """Compute the size of the input of a square image, before it is expanded.

        Args:
            resolution: Factor of both sides.
        """
        width, height = (int(side * resolution) for side in self.input_size)
        return self._ceil((max(width, 1), max(height, 1)))

    def _ceil(self, size: tuple[float, float]) -> Size:
        width, height = (
            math.ceil(side / self.size_factor) * self.size_factor for side in size
        )
        return width, height
