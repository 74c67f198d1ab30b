"""Cutting the crops of instances out of their images, view by view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from mmdistill.functional.crops import Crops, cut_crops, input_walk, sampling_grids
from mmdistill.functional.fusion import Rows
from mmdistill.functional.views import Frame, View

Prepare = Callable[[Sequence[Tensor]], Tensor]
InputsOf = Callable[[View, Rows], Tensor]


@dataclass(frozen=True)
class CropSource:
    """Some instances, and the images to cut them from, on one device.

    Attributes:
        images: Float images, each (3, height, width); outside of them is 0.
        owners: For each instance the index of its image, ascending, (N,).
        crops: The reference crops of the instances.
    """

    images: Sequence[Tensor]
    owners: np.ndarray
    crops: Crops

    def __getitem__(self, rows: slice) -> CropSource:
        """Some of the instances."""
        return CropSource(self.images, self.owners[rows], self.crops[rows])


class CropCutter:
    """Cuts any view of some instances.

    Args:
        frame: The network input.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._walks: dict[View, Tensor] = {}

    def cut(self, source: CropSource, view: View, rows: Rows) -> list[Tensor]:
        """The crops that a view shows of some instances.

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
            self._walk_of(view), self._frame, crops, crops.centers.new_tensor(sizes)
        )
        parts = zip(images, grids.split(counts.tolist()), strict=True)
        return [cut_crops(image, grid) for image, grid in parts]

    def inputs_of(self, source: CropSource, prepare: Prepare) -> InputsOf:
        """Network inputs of views, a mirrored one made from the one before it.

        Input pixel p of a mirrored view shows what pixel W - 1 - p of its mirror
        image shows. A view must always show the same of the instances.

        Args:
            source: The instances and their images.
            prepare: Makes network inputs of crops, pixel by pixel.
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
            self._walks[view] = input_walk(view, self._frame)
        return self._walks[view]
