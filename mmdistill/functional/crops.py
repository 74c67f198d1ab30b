"""Crops: the region of an image that a view shows to the network.

Shapes: `N` instances, `K` keypoints, `W, H` network input. Coordinates are
(x, y); relative positions are those of `mmdistill.functional.views`.

Crops are those of MMPose's `TopdownAffine`, because a network is trained on them:
OpenCV's `warpAffine` reads an image of bytes at coordinates rounded to 1/32 of a
pixel, and rounds the values to whole gray levels. On a CPU it cuts them itself
(`cut_byte_crops`), elsewhere `cut_crops` reads and rounds alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmdistill.functional.views import Frame, View, to_reference

FINE = 1024
"""Fractions of a pixel to which OpenCV rounds its steps along each axis."""
COARSE = 32
"""Fractions of a pixel to which it rounds the coordinates that it reads."""
LONGEST_SIDE = 2**15 - 1
"""Sides of images below which OpenCV's coordinates do not overflow."""
HALF_UP = 0.5 / COARSE**2
"""Half the step between interpolated values, so that a tie is rounded up."""


@dataclass(frozen=True)
class Crops:
    """Reference crops of some instances, in pixels of the image.

    Attributes:
        centers: Centers, (N, 2).
        extents: Widths and heights, (N, 2).
        box_areas: Areas of the boxes they were made of, (N,).

    >>> crops = Crops(torch.tensor([[50.0, 40.0]]), torch.tensor([[20.0, 10.0]]),
    ...               torch.tensor([200.0]))
    >>> len(crops), crops.to_image(torch.tensor([[[0.5, 0.0]]])).tolist()
    (1, [[[50.0, 35.0]]])
    """

    centers: Tensor
    extents: Tensor
    box_areas: Tensor

    def __len__(self) -> int:
        return len(self.centers)

    def __getitem__(self, rows: slice | Tensor) -> Crops:
        return Crops(self.centers[rows], self.extents[rows], self.box_areas[rows])

    def reduced(self, reductions: Tensor) -> Crops:
        """Convert to pixels of images that were decoded at a part of their size.

        A pixel of such an image covers as many pixels of the image along both axes as
        it was reduced by, as libjpeg decodes.

        Args:
            reductions: Factor by which the image of each instance is smaller, (N,).

        >>> crops = Crops(torch.tensor([[50.5, 40.5]]), torch.tensor([[20.0, 10.0]]),
        ...               torch.tensor([200.0]))
        >>> reduced = crops.reduced(torch.tensor([2]))
        >>> reduced.centers.tolist(), reduced.extents.tolist()
        ([[25.0, 20.0]], [[10.0, 5.0]])
        """
        factors = reductions[:, None].to(self.centers)
        centers = (self.centers + 0.5) / factors - 0.5
        return Crops(centers, self.extents / factors, self.box_areas)

    def to_image(self, positions: Tensor) -> Tensor:
        """Convert relative positions to image coordinates.

        Args:
            positions: Relative positions, (N, K, 2).

        Returns:
            Coordinates in pixels of the image, (N, K, 2).
        """
        return self.centers[:, None] + (positions - 0.5) * self.extents[:, None]


def boxes_to_crops(boxes: Tensor, padding: float, aspect_ratio: float) -> Crops:
    """Compute the reference crops of boxes as MMPose does.

    The transforms are `GetBBoxCenterScale` and `TopdownAffine`.

    Args:
        boxes: Boxes (x1, y1, x2, y2) in pixels of the image, (N, 4).
        padding: Factor by which a crop is larger than its box.
        aspect_ratio: Width over height of the network input; the shorter side
            of a crop grows to it.

    >>> boxes = torch.tensor([[10.0, 10.0, 30.0, 20.0]])
    >>> crops = boxes_to_crops(boxes, padding=1.5, aspect_ratio=0.75)
    >>> crops.centers.tolist(), crops.extents.tolist()
    ([[20.0, 15.0]], [[30.0, 40.0]])
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    width, height = (sides * padding).unbind(1)
    wide = width > height * aspect_ratio
    extents = torch.stack(
        [
            torch.where(wide, width, height * aspect_ratio),
            torch.where(wide, width / aspect_ratio, height),
        ],
        dim=1,
    )
    return Crops((boxes[:, :2] + boxes[:, 2:]) / 2, extents, sides.prod(1))


def input_walk(view: View, frame: Frame) -> Tensor:
    """Compute the steps of a view's input pixels over any crop.

    Args:
        view: The view.
        frame: The network input of the view.

    Returns:
        In extents of the reference crop, (3, 2), float64: the first input pixel,
        seen from the center, and the steps to the next one along x and along y.

    >>> input_walk(View(), Frame(4, 8, use_udp=False)).tolist()
    [[-0.5, -0.5], [0.25, 0.0], [0.0, 0.125]]
    """
    pixels = torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    shown = pixels / pixels.new_tensor(frame.spans)
    first, right, below = to_reference(view, frame, shown) - 0.5
    return torch.stack([first, right - first, below - first])


def sampling_grids(
    walk: Tensor, frame: Frame, crops: Crops, image_sizes: Tensor
) -> Tensor:
    """Compute the image coordinates of a view's input pixels, for `grid_sample`.

    Args:
        walk: `input_walk` of the view, (3, 2).
        frame: The network input of the view.
        crops: The reference crops.
        image_sizes: Width and height of each crop's image, pixels, (N, 2).

    Returns:
        Coordinates in `grid_sample`'s frame, where -1 and 1 are the outer edges of the
        image, (N, H, W, 2).

    >>> crops = Crops(*map(torch.tensor, ([[2.0, 2.0]], [[4.0, 4.0]], [16.0])))
    >>> frame = Frame(4, 4, use_udp=False)
    >>> walk = input_walk(View(), frame)
    >>> grids = sampling_grids(walk, frame, crops, torch.tensor([[4, 4]]))
    >>> grids[0, 0].tolist()
    [[-0.75, -0.75], [-0.25, -0.75], [0.25, -0.75], [0.75, -0.75]]
    """
    axes = [_pixel_coordinates(walk, frame, crops, i) for i in range(2)]
    x, y = (
        axis * (2 / size) + (1 / size - 1)
        for axis, size in zip(axes, image_sizes.T[..., None, None], strict=True)
    )
    return torch.stack(torch.broadcast_tensors(x, y), dim=-1)


def _pixel_coordinates(walk: Tensor, frame: Frame, crops: Crops, i: int) -> Tensor:
    """Coordinate i of the input pixels in the image, as OpenCV rounds it.

    Returns:
        Pixels of the image, (N, H, W), or with a 1 for the axis along which the
        coordinate is constant.
    """
    first, right, below = walk[:, i].tolist()
    centers, extents = crops.centers[:, i, None, None], crops.extents[:, i, None, None]
    columns = torch.arange(frame.width if right else 1, device=centers.device)
    rows = torch.arange(frame.height if below else 1, device=centers.device)[:, None]
    along_x = (extents * (FINE * right) * columns).round()
    along_y = ((centers + extents * (first + below * rows)) * FINE).round()
    coarse = ((along_x + along_y) * (COARSE / FINE) + 0.5).floor()
    return coarse / COARSE


def cut_crops(image: Tensor, grids: Tensor) -> Tensor:
    """Sample crops from one image, bilinearly, with zeros outside of it.

    Args:
        image: Float image, values 0 to 255, (C, height, width).
        grids: `sampling_grids` of the crops, (N, H, W, 2).

    Returns:
        Crops of whole gray values, (N, C, H, W).

    >>> image = torch.arange(4.0).view(1, 2, 2)
    >>> centers = torch.tensor([[[[-0.5, -0.5], [0.5, -0.5]]]])
    >>> cut_crops(image, centers).tolist()
    [[[[0.0, 1.0]]]]
    """
    # The image is not copied: all crops read the same memory.
    images = image.expand(len(grids), *image.shape)
    return F.grid_sample(images, grids, align_corners=False).add_(HALF_UP).round_()


def crop_matrices(walk: Tensor, crops: Crops) -> np.ndarray:
    """Compute the affine maps from a view's input pixels to pixels of the image.

    Args:
        walk: `input_walk` of the view, (3, 2).
        crops: The reference crops, on the CPU.

    Returns:
        Matrices that map (x, y, 1), (N, 2, 3), float64.

    >>> crops = Crops(*map(torch.tensor, ([[2.0, 2.0]], [[4.0, 8.0]], [16.0])))
    >>> walk = input_walk(View(), Frame(4, 4, use_udp=False))
    >>> crop_matrices(walk, crops).tolist()
    [[[1.0, 0.0, 0.0], [0.0, 2.0, -2.0]]]
    """
    steps = walk.numpy() * crops.extents.double().numpy()[:, None]
    steps[:, 0] += crops.centers.double().numpy()
    matrices: np.ndarray = steps[:, [1, 2, 0]].swapaxes(1, 2)
    return matrices


def cut_byte_crops(
    images: Sequence[Tensor], matrices: np.ndarray, frame: Frame
) -> Tensor:
    """Cut crops of images of bytes by OpenCV, with zeros outside of them.

    Args:
        images: The image of each crop, uint8, (3, height, width), in channels-last
            memory, shorter than `LONGEST_SIDE`.
        matrices: `crop_matrices` of the crops, (N, 2, 3).
        frame: The network input of the view, W x H.

    Returns:
        Crops, uint8, (N, 3, H, W), in channels-last memory.

    >>> image = channels_last_bytes(torch.arange(12, dtype=torch.uint8).view(3, 2, 2))
    >>> shift = np.array([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    >>> cut_byte_crops([image], shift, Frame(2, 2, use_udp=False))[0, 0].tolist()
    [[1, 0], [3, 0]]
    """
    size = frame.width, frame.height
    crops = np.empty((len(images), frame.height, frame.width, 3), dtype=np.uint8)
    for image, matrix, crop in zip(images, matrices, crops, strict=True):
        cv2.warpAffine(
            *(image.permute(1, 2, 0).numpy(), matrix, size, crop),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


def channels_last_bytes(image: Tensor) -> Tensor:
    """Arrange an image as OpenCV reads it; one that is so already is not copied.

    Args:
        image: Image, uint8, (3, height, width).

    >>> channels_last_bytes(torch.zeros(3, 2, 4, dtype=torch.uint8)).stride()
    (1, 12, 3)
    """
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
