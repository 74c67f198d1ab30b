"""Crops: the part of an image that a view shows to the network.

Shapes: `N` instances, `K` keypoints, `W, H` network input. Coordinates are
(x, y); relative positions are those of `mmdistill.functional.views`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdistill.functional.views import View, mirror, span


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


def crop_coordinates(
    view: View,
    crops: Crops,
    input_size: tuple[int, int],
    use_udp: bool,
) -> tuple[Tensor, Tensor]:
    """Image coordinates of every input pixel of a view's crops.

    Crops are not rotated, so columns and rows are independent.

    Args:
        view: The view.
        crops: The reference crops.
        input_size: Width and height of the network input.
        use_udp: Whether crops are cut with MMPose's UDP warp.

    Returns:
        x of each column (N, W) and y of each row (N, H), pixels of the image.
    """
    axes = []
    for axis, pixels in enumerate(input_size):
        position = torch.arange(pixels, device=crops.centers.device)
        position = position / span(pixels, use_udp)
        if view.flip and axis == 0:
            position = mirror(position, pixels, use_udp)
        seen = crops.extents[:, axis, None] / view.scale
        axes.append(crops.centers[:, axis, None] + (position - 0.5) * seen)
    return axes[0], axes[1]


def cut_crops(image: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """Sample crops from one image, bilinearly, with zeros outside of it.

    Args:
        image: Float image, (C, height, width).
        columns: x of each column of each crop, pixels of the image, (N, W).
        rows: y of each row of each crop, pixels of the image, (N, H).

    Returns:
        Crops, (N, C, H, W).
    """
    (num, width), height = columns.shape, rows.shape[1]
    grid = torch.stack(
        [
            _normalized(columns, image.shape[2])[:, None].expand(num, height, width),
            _normalized(rows, image.shape[1])[:, :, None].expand(num, height, width),
        ],
        dim=-1,
    )
    # All crops of an image are sampled as one tall picture: no copy of the
    # image per crop.
    tall = F.grid_sample(
        image[None], grid.reshape(1, num * height, width, 2), align_corners=False
    )
    return tall.view(-1, num, height, width).transpose(0, 1)


def _normalized(coordinates: Tensor, length: int) -> Tensor:
    """Coordinates in grid_sample's frame: -1 and 1 are the image's outer edges."""
    return (2 * coordinates + 1) / length - 1
