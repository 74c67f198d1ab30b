"""Crops: the part of an image that a view shows to the network.

Shapes: `N` instances, `K` keypoints, `W, H` network input. Coordinates are
(x, y); relative positions are those of `mmdistill.functional.views`.

Crops are those of MMPose's `TopdownAffine`, because a network is trained on them:
OpenCV's `warpAffine` reads an image of bytes at places rounded to 1/32 of a pixel,
and rounds what it reads to whole gray values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdistill.functional.views import Frame, View, to_reference

FINE = 1024
"""Parts of a pixel to which OpenCV rounds its way along each axis."""
COARSE = 32
"""Parts of a pixel to which it rounds the place it reads."""
HALF_UP = 0.5 / COARSE**2
"""Half the step between the values it can read, which takes a tie to the upper one."""


@dataclass(frozen=True)
class Crops:
    """The reference crops of some instances, in pixels of the image.

    Attributes:
        centers: Centers, (N, 2).
        extents: Widths and heights, (N, 2).
        box_areas: Areas of the boxes they were made of, (N,).
    """

    centers: Tensor
    extents: Tensor
    box_areas: Tensor

    def __len__(self) -> int:
        return len(self.centers)

    def __getitem__(self, rows: slice | Tensor) -> Crops:
        return Crops(self.centers[rows], self.extents[rows], self.box_areas[rows])

    def to_image(self, positions: Tensor) -> Tensor:
        """Image coordinates of relative positions.

        Args:
            positions: Relative positions, (N, K, 2).

        Returns:
            Coordinates in pixels of the image, (N, K, 2).
        """
        return self.centers[:, None] + (positions - 0.5) * self.extents[:, None]


def boxes_to_crops(boxes: Tensor, padding: float, aspect_ratio: float) -> Crops:
    """Reference crops of boxes, as `GetBBoxCenterScale` and `TopdownAffine` have them.

    Args:
        boxes: Boxes (x1, y1, x2, y2) in pixels of the image, (N, 4).
        padding: Factor by which a crop is larger than its box.
        aspect_ratio: Width over height of the network input; the shorter side
            of a crop grows to it.
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
    """How the input pixels of a view walk over any crop.

    Args:
        view: The view.
        frame: The network input.

    Returns:
        In extents of the reference crop, (3, 2), float64: the first input pixel,
        seen from the center, and the steps to the next one along x and along y.
    """
    pixels = torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    shown = pixels / pixels.new_tensor(frame.spans)
    first, right, below = to_reference(view, frame, shown) - 0.5
    return torch.stack([first, right - first, below - first])


def sampling_grids(
    walk: Tensor, frame: Frame, crops: Crops, image_sizes: Tensor
) -> Tensor:
    """Where the input pixels of a view of each crop lie in its image.

    Args:
        walk: `input_walk` of the view.
        frame: The network input.
        crops: The reference crops.
        image_sizes: Width and height of each crop's image, pixels, (N, 2).

    Returns:
        Places in `grid_sample`'s frame, where -1 and 1 are the outer edges of the
        image, (N, H, W, 2).
    """
    axes = [_places(walk, frame, crops, i) for i in range(2)]
    x, y = (
        axis * (2 / size) + (1 / size - 1)
        for axis, size in zip(axes, image_sizes.T[..., None, None], strict=True)
    )
    return torch.stack(torch.broadcast_tensors(x, y), dim=-1)


def _places(walk: Tensor, frame: Frame, crops: Crops, i: int) -> Tensor:
    """Coordinate i of the input pixels in the image, as OpenCV rounds it.

    Returns:
        Pixels of the image, (N, H, W), or with a 1 for the axis along which the
        coordinate stays the same.
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
    """
    # The image is not copied: all crops read the same memory.
    images = image.expand(len(grids), *image.shape)
    return F.grid_sample(images, grids, align_corners=False).add_(HALF_UP).round_()
