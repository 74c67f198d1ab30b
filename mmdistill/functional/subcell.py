"""Positions of peaks between cells, for the agreement of views.

The highest cell is off by up to half a cell, which differs from view to view and would
count as disagreement. A parabola through the peak and its two neighbors along an axis
has its vertex within half a cell of the peak. Through logarithms of heatmaps, as
through the scores of a vector, which are logarithms up to a constant, it is exact for
a Gaussian.

Plain reads of five cells, batched: no decoder runs for each view, and nothing waits
for the device. Labels are decoded by the model's own codec.

Shapes: `N` instances, `K` keypoints, `h, w` heatmap.
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SHARE = 1e-3
"""Lowest share of its peak that a neighbor counts as: heatmaps may be 0 or negative."""


def refine_cells(heatmaps: Tensor, cells: Tensor, values: Tensor) -> Tensor:
    """Refine the highest cells of heatmaps, each along both axes.

    A peak that is not above 0, that lies at the border along an axis, or that is flat,
    stays where it is.

    Args:
        heatmaps: Heatmaps, (N, K, h, w).
        cells: Their highest cells (x, y), (N, K, 2), from `heatmap_peaks`.
        values: The values there, (N, K).

    Returns:
        Fractional cells (x, y), at most half a cell away, (N, K, 2).

    >>> x = torch.arange(5.0)
    >>> heatmaps = torch.exp(-((x - 2.25) ** 2 + (x[:, None] - 1.5) ** 2) / 2)
    >>> cells, values = torch.tensor([[[2.0, 1.0]]]), heatmaps[None, None, 1, 2]
    >>> refined = refine_cells(heatmaps[None, None], cells, values)
    >>> [round(cell, 4) for cell in refined.flatten().tolist()]
    [2.25, 1.5]
    """
    height, width = heatmaps.shape[2:]
    # Scaled by its peak, a heatmap is refined alike whatever its height.
    peaks = values.clamp(min=torch.finfo(values.dtype).tiny)[..., None]
    x, y = cells.unbind(-1)
    index = (y * width + x).long()
    # Both axes at once: these tensors are small, and each operation has its price.
    around = torch.stack([index - 1, index + 1, index - width, index + width], dim=-1)
    neighbors = heatmaps.flatten(2).gather(2, around.clamp(0, height * width - 1))
    logarithms = (neighbors / peaks).clamp(LEAST_SHARE, 1).log()
    before, after = logarithms.unflatten(-1, (2, 2)).unbind(-1)
    before_last = torch.stack([x < width - 1, y < height - 1], dim=-1)
    inside = (cells > 0) & before_last & (values > 0)[..., None]
    offsets = _vertex(before, torch.zeros_like(before), after)
    return cells + torch.where(inside, offsets, 0.0)


def refine_bins(vectors: Tensor, bins: Tensor, values: Tensor) -> Tensor:
    """Refine the highest bins of vectors of scores.

    A peak at the border, or a flat one, stays where it is.

    Args:
        vectors: Scores, which may be logits, (N, K, w).
        bins: Their highest bins, (N, K).
        values: The values there, (N, K).

    Returns:
        Fractional bins, at most half a bin away, (N, K).

    >>> vectors = -((torch.arange(5.0) - 2.25) ** 2)[None, None]
    >>> refine_bins(vectors, torch.tensor([[2]]), vectors[..., 2]).tolist()
    [[2.25]]
    """
    last = vectors.shape[2] - 1
    around = torch.stack([bins - 1, bins + 1], dim=-1)
    before, after = vectors.gather(2, around.clamp(0, last)).unbind(-1)
    inside = (bins > 0) & (bins < last)
    return bins + torch.where(inside, _vertex(before, values, after), 0.0)


def _vertex(before: Tensor, peak: Tensor, after: Tensor) -> Tensor:
    """Offset of the vertex of a parabola from its middle point, 0 where it is flat."""
    slope, curvature = after - before, 2 * peak - before - after
    return torch.where(curvature > 0, 0.5 * slope / curvature, 0.0)
