"""Crops of instances, cut out of their images view by view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.crops import (
    LONGEST_SIDE,
    Crops,
    channels_last_bytes,
    crop_matrices,
    cut_byte_crops,
    cut_crops,
    input_walk,
    sampling_grids,
)
from mmdistill.functional.fusion import Rows
from mmdistill.functional.views import Frame, View

Prepare = Callable[[Sequence[Tensor]], Tensor]
"""Function that makes network inputs of crops."""
InputsOf = Callable[[View, Rows], Tensor]
"""Function that makes the network inputs of a view of some instances."""


def source_images(
    images: Sequence[Tensor], owners: np.ndarray, device: torch.device
) -> list[Tensor]:
    """Bring images to a device, in the form that crops are cut from fastest.

    Args:
        images: Images, values 0 to 255, each (3, height, width).
        owners: Index of each instance's image, (N,).
        device: The device that crops are cut on.

    Returns:
        The images as `CropSource` takes them; those without instances are empty.
    """
    used = {*owners.tolist()}
    bytes_on_cpu = device.type == 'cpu' and all(
        images[i].dtype == torch.uint8 and max(images[i].shape) <= LONGEST_SIDE
        for i in used
    )
    arrange = channels_last_bytes if bytes_on_cpu else Tensor.float
    return [
        arrange(image.to(device)) if i in used else image.new_zeros(0)
        for i, image in enumerate(images)
    ]


@dataclass(frozen=True)
class CropSource:
    """Instances and the images that they are cut from, on one device.

    Attributes:
        images: Images, each (3, height, width), with 0 outside of them: all of them
            float, or all uint8 in channels-last memory on the CPU.
        owners: Index of each instance's image, ascending, (N,).
        crops: The reference crops of the instances.
        reductions: Factor by which the image of each instance was decoded smaller,
            (N,); by default none was.
    """

    images: Sequence[Tensor]
    owners: np.ndarray
    crops: Crops
    reductions: np.ndarray | None = None

    def __getitem__(self, rows: slice) -> CropSource:
        """Select some of the instances."""
        reductions = None if self.reductions is None else self.reductions[rows]
        return CropSource(self.images, self.owners[rows], self.crops[rows], reductions)

    @property
    def in_pixels(self) -> Crops:
        """The reference crops in pixels of the images as they were decoded."""
        if self.reductions is None:
            return self.crops
        return self.crops.reduced(torch.from_numpy(self.reductions))


class CropCutter:
    """Cutter of any view of some instances.

    Args:
        frame_of: Function that returns the network input of a view.
    """

    def __init__(self, frame_of: Callable[[View], Frame]) -> None:
        self._frame_of = frame_of
        self._walks: dict[View, Tensor] = {}

    def cut(self, source: CropSource, view: View, rows: Rows) -> list[Tensor]:
        """Cut the crops that a view shows of some instances.

        Args:
            source: The instances and their images.
            view: The view.
            rows: The n instances, in ascending order.

        Returns:
            Crops of successive instances, together (n, 3, H, W), of the images' type.
        """
        crops = source.in_pixels[rows]
        owners = source.owners[rows.cpu().numpy() if isinstance(rows, Tensor) else rows]
        walk, frame = self._walk_of(view), self._frame_of(view)
        if len(owners) and source.images[owners[0]].dtype == torch.uint8:
            images = [source.images[i] for i in owners]
            return [cut_byte_crops(images, crop_matrices(walk, crops), frame)]
        used, counts = np.unique(owners, return_counts=True)
        sizes = [source.images[i].shape[:0:-1] for i in owners]
        grids = sampling_grids(walk, frame, crops, crops.centers.new_tensor(sizes))
        pairs = zip(used, grids.split(counts.tolist()), strict=True)
        return [cut_crops(source.images[i], grid) for i, grid in pairs]

    def inputs_of(self, source: CropSource, prepare: Prepare) -> InputsOf:
        """Make a function of network inputs, which reuses a view for its mirror image.

        Input pixel p of a mirrored view equals pixel W - 1 - p of its mirror image. A
        view must always be requested for the same instances.

        Args:
            source: The instances and their images.
            prepare: Function that makes network inputs of crops.
        """
        last: dict[View, list[Tensor]] = {}

        def inputs(view: View, rows: Rows) -> Tensor:
            plain = replace(view, flip=False)
            if plain not in last:
                last.clear()
                last[plain] = self.cut(source, plain, rows)
            crops = last[plain]
            return prepare([block.flip(-1) for block in crops] if view.flip else crops)

        return inputs

    def _walk_of(self, view: View) -> Tensor:
        if view not in self._walks:
            self._walks[view] = input_walk(view, self._frame_of(view))
        return self._walks[view]
