"""Crops of instances, cut out of their images view by view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from mmdistill.functional.crops import Crops, cut_crops, input_walk, sampling_grids
from mmdistill.functional.fusion import Rows
from mmdistill.functional.views import Frame, View

Prepare = Callable[[Sequence[Tensor]], Tensor]
"""Function that makes network inputs of crops."""
InputsOf = Callable[[View, Rows], Tensor]
"""Function that makes the network inputs of a view of some instances."""


@dataclass(frozen=True)
class CropSource:
    """Instances and the images that they are cut from, on one device.

    Attributes:
        images: Float images, each (3, height, width), with 0 outside of them.
        owners: Index of each instance's image, ascending, (N,).
        crops: The reference crops of the instances.
    """

    images: Sequence[Tensor]
    owners: np.ndarray
    crops: Crops

    def __getitem__(self, rows: slice) -> CropSource:
        """Select some of the instances."""
        return CropSource(self.images, self.owners[rows], self.crops[rows])


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
            Crops of the instances of each image, together (n, 3, H, W).
        """
        crops = source.crops[rows]
        owners = source.owners[rows.cpu().numpy() if isinstance(rows, Tensor) else rows]
        used, counts = np.unique(owners, return_counts=True)
        images = [source.images[i] for i in used]
        sizes = [source.images[i].shape[:0:-1] for i in owners]
        grids = sampling_grids(
            self._walk_of(view),
            self._frame_of(view),
            crops,
            crops.centers.new_tensor(sizes),
        )
        pairs = zip(images, grids.split(counts.tolist()), strict=True)
        return [cut_crops(image, grid) for image, grid in pairs]

    def inputs_of(self, source: CropSource, prepare: Prepare) -> InputsOf:
        """Make a function of network inputs, which reuses a view for its mirror image.

        Input pixel p of a mirrored view equals pixel W - 1 - p of its mirror image. A
        view must always be requested for the same instances.

        Args:
            source: The instances and their images.
            prepare: Function that makes network inputs of crops, pixel by pixel.
        """
        last: dict[View, Tensor] = {}

        def inputs(view: View, rows: Rows) -> Tensor:
            plain = replace(view, flip=False)
            if plain not in last:
                last.clear()
                last[plain] = prepare(self.cut(source, plain, rows))
            return last[plain].flip(-1) if view.flip else last[plain]

        return inputs

    def _walk_of(self, view: View) -> Tensor:
        if view not in self._walks:
            self._walks[view] = input_walk(view, self._frame_of(view))
        return self._walks[view]
