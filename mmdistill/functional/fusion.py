"""Fusing the views of an instance, in memory that does not grow with their number.

Shapes: `N` instances, `K` keypoints, `h, w` heatmap.

A view that magnifies shows only the middle of the reference crop. Outside of it
the view has no evidence, which is not evidence of nothing: views are averaged
only where they cover the crop.
"""

from __future__ import annotations

import torch
from torch import Tensor


class MaskedMean:
    """Running mean of heatmaps over the views that cover a cell."""

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._weight: Tensor | None = None

    def add(self, heatmaps: Tensor, coverage: Tensor) -> None:
        """Add one view.

        Args:
            heatmaps: Heatmaps on the reference grid, zero without coverage,
                (N, K, h, w).
            coverage: 1 where the view has evidence, else 0, (h, w).
        """
        if self._total is None or self._weight is None:
            self._total, self._weight = heatmaps.clone(), coverage.clone()
        else:
            self._total += heatmaps
            self._weight += coverage

    def result(self) -> Tensor:
        """The mean, (N, K, h, w); zero where no view has evidence.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._total is None or self._weight is None:
            raise RuntimeError('a mean needs at least one view, got none')
        return self._total / self._weight.clamp(min=1)


class MaskedMax:
    """Running maximum of heatmaps over the views that cover a cell."""

    def __init__(self) -> None:
        self._best: Tensor | None = None

    def add(self, heatmaps: Tensor, coverage: Tensor) -> None:
        """Add one view; see `MaskedMean.add`."""
        seen = heatmaps.masked_fill(coverage == 0, -torch.inf)
        self._best = seen if self._best is None else torch.maximum(self._best, seen)

    def result(self) -> Tensor:
        """The maximum, (N, K, h, w); zero where no view has evidence.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._best is None:
            raise RuntimeError('a maximum needs at least one view, got none')
        return self._best.masked_fill(self._best == -torch.inf, 0.0)


FUSIONS: dict[str, type[MaskedMean] | type[MaskedMax]] = {
    'mean': MaskedMean,
    'max': MaskedMax,
}


class PeakSpread:
    """Running weighted spread of the views' own peaks around their mean.

    The update is West's (1979) weighted form of Welford's, which stays exact
    where a difference of sums would cancel.
    """

    def __init__(self) -> None:
        self._weight: Tensor | None = None
        self._mean: Tensor | None = None
        self._moment: Tensor | None = None

    def add(self, peaks: Tensor, weights: Tensor) -> None:
        """Add one view.

        Args:
            peaks: Peaks, pixels of the image, (N, K, 2).
            weights: How much evidence each peak has; negative counts as none,
                (N, K).
        """
        weights = weights.clamp(min=0)
        if self._weight is None or self._mean is None or self._moment is None:
            self._weight, self._mean = weights.clone(), peaks.clone()
            self._moment = torch.zeros_like(weights)
            return
        self._weight = self._weight + weights
        share = torch.where(self._weight > 0, weights / self._weight, 0.0)
        delta = peaks - self._mean
        self._mean = self._mean + delta * share[..., None]
        self._moment += weights * (delta * (peaks - self._mean)).sum(-1)

    def result(self) -> Tensor:
        """Weighted mean squared distance from the mean peak, squared pixels, (N, K).

        Raises:
            RuntimeError: If no view was added.
        """
        if self._weight is None or self._moment is None:
            raise RuntimeError('a spread needs at least one view, got none')
        return torch.where(self._weight > 0, self._moment / self._weight, 0.0)


def heatmap_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Highest cell of each heatmap.

    Args:
        heatmaps: Heatmaps, (N, K, h, w).

    Returns:
        Cells (x, y) as float, (N, K, 2), and their values, (N, K).
    """
    values, index = heatmaps.flatten(2).max(dim=2)
    width = heatmaps.shape[3]
    column = index % width
    row = torch.div(index, width, rounding_mode='floor')
    return torch.stack([column, row], dim=-1).to(heatmaps.dtype), values


def view_agreement(spread: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """How far the views agree, on the scale of object keypoint similarity (OKS).

    ``exp(-spread / (2 * area * (2 * sigma)^2))``: OKS of a keypoint that lies
    as far off as the views lie apart, so 1 is perfect agreement.

    Args:
        spread: Mean squared distance of the views' peaks, squared pixels, (N, K).
        areas: Area of each instance, squared pixels, (N,).
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).

    Returns:
        Agreement in [0, 1], (N, K).
    """
    tolerance = 2 * areas[:, None].clamp(min=1) * (2 * sigmas) ** 2
    return torch.exp(-spread / tolerance)
