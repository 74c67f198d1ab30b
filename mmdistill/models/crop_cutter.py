"""Cutting the crops of instances out of their images, view by view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.crops import Crops, crop_offsets, cut_crops, sampling_grids
from mmdistill.functional.fusion import Rows
from mmdistill.functional.views import Frame, View


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
        self._offsets: dict[tuple[View, torch.device], Tensor] = {}

    def cut(self, source: CropSource, view: View, rows: Rows) -> Tensor:
        """The crops that a view shows of some instances.

        Args:
            source: The instances and their images.
            view: The view.
            rows: The n instances, in ascending order.

        Returns:
            Crops, (n, 3, H, W).
        """
        crops = source.crops[rows]
        owners = source.owners[rows.cpu() if isinstance(rows, Tensor) else rows]
        used, counts = np.unique(owners, return_counts=True)
        images = [source.images[i] for i in used]
        sizes = crops.centers.new_tensor([image.shape[:0:-1] for image in images])
        sizes = sizes.repeat_interleave(torch.from_numpy(counts).to(sizes.device), 0)
        offsets = self._offsets_of(view, crops.centers.device)
        grids = sampling_grids(offsets, crops, sizes).split(counts.tolist())
        return torch.cat(
            [cut_crops(image, grid) for image, grid in zip(images, grids, strict=True)]
        )

    def crops_of(self, source: CropSource) -> Callable[[View, Rows], Tensor]:
        """Cuts views of some instances, a mirrored one from the one before it.

        Input pixel p of a mirrored view shows what pixel W - 1 - p of its mirror
        image shows. A view must always show the same of the instances.

        Args:
            source: The instances and their images.
        """
        last: dict[View, Tensor] = {}

        def cut(view: View, rows: Rows) -> Tensor:
            plain = replace(view, flip=False)
            if plain not in last:
                last.clear()
                last[plain] = self.cut(source, plain, rows)
            return last[plain].flip(-1) if view.flip else last[plain]

        return cut

    def _offsets_of(self, view: View, device: torch.device) -> Tensor:
        key = (view, device)
        if key not in self._offsets:
            self._offsets[key] = crop_offsets(view, self._frame).to(device)
        return self._offsets[key]
