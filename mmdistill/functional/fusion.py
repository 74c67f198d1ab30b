"""Fusion of the views of an instance, in memory independent of their number.

A view that magnifies shows only the middle of the reference crop. Outside of it
the view has no evidence, which is not evidence of absence: views are averaged
only where they cover the crop.

Shapes: `N` instances, `n` of them in a view, `K` keypoints, `h, w` heatmap.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

EVERY = slice(None)
"""All instances."""
Rows = slice | Tensor
"""Rows of the instances that a view is added for: a slice, or distinct indices (n,)."""
Warp = Callable[[Tensor], Tensor]
"""Interpolation of maps (N, C, ...) of one grid on another, 0 outside of the first."""
COVERED = 1e-4
"""Share of a warped cell's weight that may lie on cells without evidence: rounding."""


class MaskedMean:
    """Running mean over the views that cover a cell.

    Args:
        num_instances: Number of instances, N.

    >>> mean = MaskedMean(num_instances=1)
    >>> mean.add(torch.tensor([[[1.0, 2.0]]]), torch.tensor([1.0, 1.0]))
    >>> mean.add(torch.tensor([[[0.0, 4.0]]]), torch.tensor([0.0, 1.0]))
    >>> mean.result().tolist(), mean.covered().tolist()
    ([[[1.0, 3.0]]], [[[True, True]]])
    """

    def __init__(self, num_instances: int) -> None:
        self._num_instances = num_instances
        self._total: Tensor | None = None
        self._weight: Tensor | None = None

    def add(self, values: Tensor, coverage: Tensor, rows: Rows = EVERY) -> None:
        """Add one view of some instances.

        Args:
            values: Output of the view on the reference grid, zero without coverage,
                (n, K, ...): heatmaps (n, K, h, w) or vectors (n, K, w).
            coverage: 1 where the view has evidence, else 0, (...).
            rows: The n instances.
        """
        if self._total is None or self._weight is None:
            shape = self._num_instances, *values.shape[1:]
            self._total = values.new_zeros(shape)
            self._weight = values.new_zeros(shape[0], 1, *coverage.shape)
        _add(self._total, values, rows)
        _add(self._weight, coverage, rows)

    def result(self) -> Tensor:
        """Mean, (N, K, ...); zero where no view has evidence.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._total is None or self._weight is None:
            raise RuntimeError('a mean needs at least one view, got none')
        return self._total / self._weight.clamp(min=1)

    def covered(self) -> Tensor:
        """Mask of the cells where any view has evidence, bool, (N, 1, ...).

        Raises:
            RuntimeError: If no view was added.
        """
        if self._weight is None:
            raise RuntimeError('coverage needs at least one view, got none')
        return self._weight > 0

    def merge(self, other: MaskedMean, warp: Warp | None = None) -> None:
        """Add the views of another mean of the same instances.

        Args:
            other: The other mean.
            warp: Warp of its grid onto this one, where they differ.
        """
        mean, views = other.result(), other._weight
        assert views is not None
        if warp is not None:
            covered = warp(other.covered().to(mean)) > 1 - COVERED
            mean, views = warp(mean), warp(views) * covered
        if self._total is None or self._weight is None:
            self._total, self._weight = torch.zeros_like(mean), torch.zeros_like(views)
        self._total += mean * views
        self._weight += views


def _add(total: Tensor, values: Tensor, rows: Rows) -> None:
    """Add values to rows in place, without the self-copy of ``total[rows] +=``."""
    if isinstance(rows, slice):
        total[rows].add_(values)
    else:
        total[rows] += values


class MaskedMax:
    """Running maximum over the views that cover a cell.

    Args:
        num_instances: Number of instances, N.

    >>> best = MaskedMax(num_instances=1)
    >>> best.add(torch.tensor([[[-1.0, 2.0]]]), torch.tensor([1.0, 1.0]))
    >>> best.add(torch.tensor([[[0.0, 4.0]]]), torch.tensor([0.0, 1.0]))
    >>> best.result().tolist()
    [[[-1.0, 4.0]]]
    """

    def __init__(self, num_instances: int) -> None:
        self._num_instances = num_instances
        self._best: Tensor | None = None

    def add(self, values: Tensor, coverage: Tensor, rows: Rows = EVERY) -> None:
        """Add one view of some instances; see `MaskedMean.add`.

        Args:
            values: Values of the view, (n, K, ...).
            coverage: 1 where the view has evidence, else 0, (...).
            rows: The n instances that the view is of, all by default.
        """
        if self._best is None:
            shape = self._num_instances, *values.shape[1:]
            self._best = values.new_full(shape, -torch.inf)
        seen = values.masked_fill(coverage == 0, -torch.inf)
        self._best[rows] = torch.maximum(self._best[rows], seen)

    def result(self) -> Tensor:
        """Maximum, (N, K, ...); zero where no view has evidence.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._best is None:
            raise RuntimeError('a maximum needs at least one view, got none')
        return self._best.masked_fill(self._best == -torch.inf, 0.0)

    def covered(self) -> Tensor:
        """Mask of the cells where any view has evidence, bool, (N, K, ...).

        Raises:
            RuntimeError: If no view was added.
        """
        if self._best is None:
            raise RuntimeError('coverage needs at least one view, got none')
        return self._best > -torch.inf

    def merge(self, other: MaskedMax, warp: Warp | None = None) -> None:
        """Add the views of another maximum; see `MaskedMean.merge`."""
        best, covered = other.result(), other.covered()
        if warp is not None:
            covered = warp(covered.to(best)) > 1 - COVERED
            best = warp(best)
        best = best.masked_fill(~covered, -torch.inf)
        self._best = best if self._best is None else torch.maximum(self._best, best)


FUSIONS: dict[str, type[MaskedMean] | type[MaskedMax]] = {
    'mean': MaskedMean,
    'max': MaskedMax,
}
"""Running fusion of heatmaps by the name that a config gives it."""


def fill_uncovered(values: Tensor, covered: Tensor) -> Tensor:
    """Fill cells without evidence with the lowest value that has evidence.

    Raw logits may be negative everywhere; a zero would beat them.

    Args:
        values: Fused vectors, (N, K, w).
        covered: Mask of the cells where a view has evidence, bool, as
            `MaskedMean.covered`; (N, 1, w) or (N, K, w).

    >>> covered = torch.tensor([[[True, True, False]]])
    >>> fill_uncovered(torch.tensor([[[-1.0, -3.0, 0.0]]]), covered).tolist()
    [[[-1.0, -3.0, -3.0]]]
    """
    lowest = torch.where(covered, values, torch.inf).amin(-1, keepdim=True)
    return torch.where(covered, values, lowest)


class PeakSpread:
    """Running weighted mean of the views' own peaks, and their spread around it.

    The update is West's (1979) weighted form of Welford's, which stays exact
    where a difference of sums would cancel.

    Args:
        num_instances: Number of instances, N.

    >>> spread = PeakSpread(num_instances=1)
    >>> spread.add(torch.tensor([[[2.0, 0.0]]]), torch.tensor([[1.0]]))
    >>> spread.add(torch.tensor([[[4.0, 0.0]]]), torch.tensor([[1.0]]))
    >>> spread.mean().tolist(), spread.result().tolist()
    ([[[3.0, 0.0]]], [[1.0]])
    """

    def __init__(self, num_instances: int) -> None:
        self._num_instances = num_instances
        self._weight: Tensor | None = None
        self._mean: Tensor | None = None
        self._moment: Tensor | None = None

    def add(self, peaks: Tensor, weights: Tensor, rows: Rows = EVERY) -> None:
        """Add one view of some instances.

        Args:
            peaks: Peaks, (n, K, 2), in any one frame.
            weights: Evidence of each peak; negative values count as 0, (n, K).
            rows: The n instances.
        """
        if self._weight is None or self._mean is None or self._moment is None:
            shape = self._num_instances, *weights.shape[1:]
            self._weight, self._moment = weights.new_zeros(2, *shape).unbind()
            self._mean = peaks.new_zeros(*shape, 2)
        weights = weights.clamp(min=0)
        weight = self._weight[rows] + weights
        share = torch.where(weight > 0, weights / weight, 0.0)[..., None]
        mean = self._mean[rows]
        moved = mean + (peaks - mean) * share
        self._moment[rows] += weights * ((peaks - mean) * (peaks - moved)).sum(-1)
        self._mean[rows], self._weight[rows] = moved, weight

    def mean(self) -> Tensor:
        """Weighted mean peak, (N, K, 2); zero where no view has evidence.

        Raises:
            RuntimeError: If no view was added.
        """
        if self._mean is None:
            raise RuntimeError('a mean needs at least one view, got none')
        return self._mean

    def result(self) -> Tensor:
        """Weighted mean squared distance from the mean peak, (N, K).

        Raises:
            RuntimeError: If no view was added.
        """
        if self._weight is None or self._moment is None:
            raise RuntimeError('a spread needs at least one view, got none')
        return torch.where(self._weight > 0, self._moment / self._weight, 0.0)

    def evidence(self) -> Tensor:
        """Sum of the evidence of the peaks, (N, K).

        Raises:
            RuntimeError: If no view was added.
        """
        if self._weight is None:
            raise RuntimeError('evidence needs at least one view, got none')
        return self._weight

    def merge(self, other: PeakSpread) -> None:
        """Add the views of another spread of the same instances, in the same frame.

        The update is that of Chan, Golub and LeVeque (1983) for two samples.

        Args:
            other: The other spread.
        """
        assert other._weight is not None
        assert other._mean is not None
        assert other._moment is not None
        if self._weight is None or self._mean is None or self._moment is None:
            self._weight, self._mean = other._weight.clone(), other._mean.clone()
            self._moment = other._moment.clone()
            return
        weight = self._weight + other._weight
        share = torch.where(weight > 0, other._weight / weight, 0.0)
        step = other._mean - self._mean
        self._moment += other._moment + (step**2).sum(-1) * self._weight * share
        self._mean = self._mean + step * share[..., None]
        self._weight = weight


def heatmap_peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest cell of each heatmap, the first in reading order among equals.

    Args:
        heatmaps: Heatmaps, (N, K, h, w).

    Returns:
        Cells (x, y) as float, (N, K, 2), and their values, (N, K).

    >>> cells, values = heatmap_peaks(torch.tensor([[[[0.0, 0.5], [0.75, 0.25]]]]))
    >>> cells.tolist(), values.tolist()
    ([[[0.0, 1.0]]], [[0.75]])
    """
    # Two reductions over short axes are faster on CPUs than one over a long axis.
    values, rows = heatmaps.amax(3).max(2)
    width = heatmaps.shape[3]
    highest = heatmaps.gather(2, rows[..., None, None].expand(-1, -1, 1, width))
    columns = highest[:, :, 0].argmax(2)
    return torch.stack([columns, rows], dim=-1).to(heatmaps.dtype), values


def view_agreement(spread: Tensor, areas: Tensor, sigmas: Tensor) -> Tensor:
    """Compute the agreement of views on the scale of object keypoint similarity (OKS).

    ``exp(-spread / (2 * area * (2 * sigma)^2))``: OKS of a keypoint that lies
    as far off as the views lie apart, so 1 is perfect agreement.

    Args:
        spread: Mean squared distance of the views' peaks, squared pixels, (N, K).
        areas: Area of each instance, squared pixels, (N,).
        sigmas: Per-keypoint standard deviations of COCO's OKS, (K,).

    Returns:
        Agreement in [0, 1], (N, K).

    >>> spread, sigmas = torch.tensor([[0.0, 16.0]]), torch.tensor([0.05, 0.05])
    >>> agreement = view_agreement(spread, torch.tensor([1600.0]), sigmas)
    >>> [round(value, 4) for value in agreement[0].tolist()]
    [1.0, 0.6065]
    """
    tolerance = 2 * areas[:, None].clamp(min=1) * (2 * sigmas) ** 2
    return torch.exp(-spread / tolerance)
