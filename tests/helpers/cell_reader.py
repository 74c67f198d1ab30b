"""A backbone whose heatmaps follow from the picture alone, and its codecs."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch.nn import functional as F

INPUT = (96, 128)
CELLS = (24, 32)
FLIP_INDICES = [0, 2, 1]
SIZES = dict(input_size=INPUT, heatmap_size=CELLS)
CODECS = {
    'MSRA': dict(type='MSRAHeatmap', sigma=2.0, **SIZES),
    'DARK': dict(type='MSRAHeatmap', sigma=2.0, unbiased=True, **SIZES),
    'UDP': dict(type='UDPHeatmap', sigma=2.0, **SIZES),
    'Megvii': dict(type='MegviiHeatmap', kernel_size=11, **SIZES),
}
FIRST_AND_LAST_PIXEL = {
    'MSRA': ((0, 92), (0, 124)),
    'DARK': ((0, 92), (0, 124)),
    'UDP': ((0, 95), (0, 127)),
    'Megvii': ((2, 94), (2, 126)),
}


class CellReader(BaseModule):
    """Reads the input, bilinearly, where the cells of a codec lie."""

    def __init__(self, first_and_last: tuple) -> None:
        super().__init__()
        x, y = (
            torch.linspace(*ends, cells) * 2 / (pixels - 1) - 1
            for ends, cells, pixels in zip(first_and_last, CELLS, INPUT, strict=True)
        )
        grid = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
        self.register_buffer('grid', grid, persistent=False)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        grid = self.grid.expand(len(inputs), -1, -1, -1)
        return (F.grid_sample(inputs, grid, align_corners=True),)
