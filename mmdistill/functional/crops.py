"""Crops: the part of an image that a view shows to the network.

Shapes: `N` instances, `K` keypoints, `W, H` network input. Coordinates are
(x, y); relative positions are those of `mmdistill.functional.views`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmdistill.functional.views import Frame, View, to_reference


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


def crop_offsets(view: View, frame: Frame) -> Tensor:
    """Where the input pixels of a view lie around the center of any crop.

    Args:
        view: The view.
        frame: The network input.

    Returns:
        Offsets (x, y) in extents of the reference crop, (H, W, 2).
    """
    x, y = (
        torch.arange(pixels, dtype=torch.float64) / span
        for pixels, span in zip((frame.width, frame.height), frame.spans, strict=True)
    )
    shown = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
    return (to_reference(view, frame, shown) - 0.5).float()


def sampling_grids(offsets: Tensor, crops: Crops, image_sizes: Tensor) -> Tensor:
    """Where the input pixels of a view of each crop lie in its image.

    Args:
        offsets: `crop_offsets` of the view, (H, W, 2).
        crops: The reference crops.
        image_sizes: Width and height of each crop's image, pixels, (N, 2).

    Returns:
        Places in `grid_sample`'s frame, where -1 and 1 are the outer edges of the
        image, (N, H, W, 2).
    """
    starts = (2 * crops.centers + 1) / image_sizes - 1
    steps = 2 * crops.extents / image_sizes
    return torch.addcmul(starts[:, None, None], steps[:, None, None], offsets.to(steps))


def cut_crops(image: Tensor, grids: Tensor) -> Tensor:
    """Sample crops from one image, bilinearly, with zeros outside of it.

    Args:
        image: Float image, (C, height, width).
        grids: `sampling_grids` of the crops, (N, H, W, 2).

    Returns:
        Crops, (N, C, H, W).
    """
    # The image is not copied: all crops read the same memory.
    images = image.expand(len(grids), *image.shape)
    return F.grid_sample(images, grids, align_corners=False)
