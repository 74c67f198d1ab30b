"""Cutting the crops of instances out of their images, view by view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mmdistill.functional.crops import Crops, crop_coordinates, cut_crops
from mmdistill.functional.views import View


class CropCutter:
    """Cuts any view of some instances; each image is uploaded once.

    Args:
        images: Images, values 0 to 255, each (3, height, width).
        owners: For each instance the index of its image, ascending, (N,).
        crops: The instances' reference crops, on the device to cut on.
        input_size: Width and height of the network input.
        use_udp: Whether crops are cut with MMPose's UDP warp.
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        owners: np.ndarray,
        crops: Crops,
        input_size: tuple[int, int],
        use_udp: bool,
    ) -> None:
        device = crops.centers.device
        used, self._counts = np.unique(owners, return_counts=True)
        self._images = [images[i].to(device).float() for i in used]
        self._crops = crops
        self._input_size = input_size
        self._use_udp = use_udp

    def cut(self, view: View) -> Tensor:
        """The crops that a view shows, values 0 to 255, (N, 3, H, W)."""
        columns, rows = crop_coordinates(
            view, self._crops, self._input_size, self._use_udp
        )
        counts = self._counts.tolist()
        return torch.cat(
            [
                cut_crops(image, x, y)
                for image, x, y in zip(
                    self._images, columns.split(counts), rows.split(counts), strict=True
                )
            ]
        )
