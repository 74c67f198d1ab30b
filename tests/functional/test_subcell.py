"""Peaks between cells, against Gaussians and parabolas whose peak is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdistill.functional.fusion import heatmap_peaks
from mmdistill.functional.subcell import refine_bins, refine_cells

HEIGHT, WIDTH = 32, 24


def gaussians(at: torch.Tensor, sigma: float, height: float = 1.0) -> torch.Tensor:
    """Heatmaps (N, K, h, w) of Gaussians at cells (x, y), (N, K, 2)."""
    x, y = (part[..., None, None] for part in at.unbind(-1))
    squares = (torch.arange(WIDTH) - x) ** 2 + (torch.arange(HEIGHT)[:, None] - y) ** 2
    return height * torch.exp(-squares / (2 * sigma**2))


def refined(heatmaps: torch.Tensor) -> torch.Tensor:
    return refine_cells(heatmaps, *heatmap_peaks(heatmaps))


@pytest.fixture
def positions() -> torch.Tensor:
    """Positions between cells, off the border, (5, 7, 2)."""
    random = torch.rand(5, 7, 2, generator=torch.Generator().manual_seed(2))
    return 2 + random * torch.tensor([WIDTH - 5.0, HEIGHT - 5.0])


@pytest.mark.parametrize('sigma', [0.6, 1.5, 3.0])
@pytest.mark.parametrize('height', [1e-4, 0.7, 255.0])
def test_a_gaussian_is_recovered(positions, sigma, height):
    heatmaps = gaussians(positions, sigma, height)
    assert (refined(heatmaps) - positions).abs().max() < 0.01
    whole, _ = heatmap_peaks(heatmaps)
    assert (whole - positions).abs().max() > 0.3


def test_a_gaussian_among_noise_is_nearer_than_its_highest_cell(positions):
    generator = torch.Generator().manual_seed(4)
    heatmaps = gaussians(positions, 1.5)
    heatmaps += 0.01 * torch.randn(heatmaps.shape, generator=generator)
    whole, _ = heatmap_peaks(heatmaps)
    error, before = (
        (cells - positions).square().mean() for cells in (refined(heatmaps), whole)
    )
    assert error < before / 20


@pytest.mark.parametrize('value', [-1.0, 0.0, 0.5])
def test_a_flat_heatmap_stays_at_its_highest_cell(value):
    heatmaps = torch.full((1, 1, HEIGHT, WIDTH), value)
    assert refined(heatmaps).tolist() == [[[0, 0]]]


def test_a_ridge_is_refined_across_and_not_along(positions):
    heatmaps = gaussians(positions, 1.5).amax(2, keepdim=True)
    cells = refined(heatmaps.expand(-1, -1, HEIGHT, -1).contiguous())
    assert (cells[..., 0] - positions[..., 0]).abs().max() < 0.01
    assert (cells[..., 1] == 0).all()


def test_the_border_is_refined_along_the_other_axis():
    at = torch.tensor([[[-2.0, 7.3], [WIDTH + 1.0, 7.3], [7.3, -2], [7.3, HEIGHT + 1]]])
    cells = refined(gaussians(at, 2.0))
    expected = [[0, 7.3], [WIDTH - 1, 7.3], [7.3, 0], [7.3, HEIGHT - 1]]
    np.testing.assert_allclose(cells[0], expected, atol=0.01)


def test_neighbors_below_zero_and_single_cells_give_finite_cells():
    heatmaps = torch.full((1, 2, HEIGHT, WIDTH), -3.0)
    heatmaps[0, :, 5, 6] = torch.tensor([1e-38, 1e38])
    heatmaps[0, :, 5, 7] = torch.tensor([0.0, 9e37])
    cells = refined(heatmaps)
    assert cells.isfinite().all()
    assert (cells - torch.tensor([6.0, 5.0])).abs().max() <= 0.5


def test_an_instance_does_not_depend_on_the_others(positions):
    heatmaps = gaussians(positions, 1.5)
    spoiled = heatmaps.clone()
    spoiled[0], spoiled[1] = 0, torch.nan
    assert torch.equal(refined(spoiled)[2:], refined(heatmaps[2:]))


def test_bins_of_a_parabola_and_of_a_gaussian_are_recovered(positions):
    at = positions[..., 0]
    squares = (torch.arange(WIDTH) - at[..., None]) ** 2
    for vectors in (-squares / 18 - 40, torch.exp(-squares / (2 * 6**2))):
        values, bins = vectors.max(2)
        assert (refine_bins(vectors, bins, values) - at).abs().max() < 0.01


def test_bins_at_the_border_and_flat_vectors_stay():
    vectors = torch.stack([torch.arange(5.0), -torch.arange(5.0), torch.zeros(5)])[None]
    values, bins = vectors.max(2)
    assert refine_bins(vectors, bins, values).tolist() == [[4, 0, 0]]
