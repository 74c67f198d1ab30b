"""Tests of the running fusions, against NumPy over all views at once."""

import numpy as np
import pytest
import torch

from mmdistill.functional.fusion import (
    FUSIONS,
    MaskedMax,
    MaskedMean,
    PeakSpread,
    heatmap_peaks,
    view_agreement,
)

VIEWS = 5


@pytest.fixture
def views():
    """Heatmaps (V, N, K, h, w), zero without coverage, and coverages (V, h, w)."""
    generator = torch.Generator().manual_seed(0)
    coverage = (torch.rand(VIEWS, 6, 4, generator=generator) > 0.4).float()
    coverage[:, 0, 0], coverage[:, 5, 3] = 0, 1
    heatmaps = torch.randn(VIEWS, 2, 3, 6, 4, generator=generator)
    return heatmaps * coverage[:, None, None], coverage


@pytest.fixture
def peaks():
    """Peaks (V, N, K, 2) and weights (V, N, K), some of them zero or negative."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(VIEWS, 2, 3, generator=generator) - 0.2
    weights[:, 0, 0], weights[0, 1, 1] = 0, 0
    return 500 + 20 * torch.randn(VIEWS, 2, 3, 2, generator=generator), weights


def fused(running, heatmaps, coverage):
    fusion = running(heatmaps.shape[1])
    for view, seen in zip(heatmaps, coverage, strict=True):
        fusion.add(view, seen)
    return fusion.result()


def spread_of(peaks, weights):
    spread = PeakSpread(peaks.shape[1])
    for at, weight in zip(peaks, weights, strict=True):
        spread.add(at, weight)
    return spread.result()


def fused_slowly(reduce, heatmaps, coverage):
    """Reduce, cell by cell, the values of the views that cover it."""
    result = np.zeros(heatmaps.shape[1:], dtype=np.float32)
    for y, x in np.ndindex(coverage.shape[1:]):
        seen = coverage[:, y, x].numpy() > 0
        if seen.any():
            result[..., y, x] = reduce(heatmaps[..., y, x].numpy()[seen], axis=0)
    return result


def test_masked_mean_is_the_mean_of_the_views_that_cover_a_cell(views):
    expected = fused_slowly(np.mean, *views)
    np.testing.assert_allclose(fused(MaskedMean, *views), expected, atol=1e-6)


def test_masked_max_is_the_maximum_of_the_views_that_cover_a_cell(views):
    np.testing.assert_array_equal(
        fused(MaskedMax, *views), fused_slowly(np.max, *views)
    )


@pytest.mark.parametrize('name', FUSIONS)
def test_the_order_of_views_does_not_matter(name, views):
    there, back = (
        fused(FUSIONS[name], heatmaps, coverage)
        for heatmaps, coverage in (views, [part.flip(0) for part in views])
    )
    torch.testing.assert_close(there, back, rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', FUSIONS)
def test_fusing_equal_views_returns_the_view(name, views):
    heatmaps, coverage = (part[:1].expand(VIEWS, *part.shape[1:]) for part in views)
    result = fused(FUSIONS[name], heatmaps, coverage)
    torch.testing.assert_close(result, heatmaps[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize('name', FUSIONS)
def test_cells_that_a_view_does_not_cover_are_those_of_the_other_views(name, views):
    heatmaps, coverage = views
    result = fused(FUSIONS[name], heatmaps, coverage)
    others = fused(FUSIONS[name], heatmaps[1:], coverage[1:])
    outside = coverage[0] == 0
    torch.testing.assert_close(result[..., outside], others[..., outside])


@pytest.mark.parametrize('name', FUSIONS)
def test_the_first_view_is_not_written_to(name, views):
    heatmaps, coverage = views
    before = heatmaps.clone(), coverage.clone()
    fused(FUSIONS[name], heatmaps, coverage)
    assert torch.equal(heatmaps, before[0])
    assert torch.equal(coverage, before[1])


@pytest.mark.parametrize('running', [MaskedMean, MaskedMax, PeakSpread])
def test_fusing_nothing_is_refused(running):
    with pytest.raises(RuntimeError, match='at least one view'):
        running(2).result()


@pytest.mark.parametrize('name', FUSIONS)
def test_a_view_of_some_instances_leaves_the_others_alone(name, views):
    """Instance 1 sees every view, instance 0 only the first two."""
    heatmaps, coverage = views
    fusion = FUSIONS[name](2)
    for number, (view, seen) in enumerate(zip(heatmaps, coverage, strict=True)):
        rows = [0, 1] if number < 2 else [1]
        fusion.add(view[rows], seen, torch.tensor(rows))
    for instance, count in ((0, 2), (1, VIEWS)):
        alone = fused(FUSIONS[name], heatmaps[:count, [instance]], coverage[:count])
        torch.testing.assert_close(fusion.result()[[instance]], alone)


@pytest.mark.parametrize('name', FUSIONS)
def test_vectors_are_fused_as_heatmaps_of_one_row_are(name, views):
    heatmaps, coverage = (part[..., 3, :] for part in views)
    vectors = fused(FUSIONS[name], heatmaps, coverage)
    rows = fused(FUSIONS[name], heatmaps[..., None, :], coverage[:, None])
    assert torch.equal(vectors, rows[..., 0, :])


def test_the_spread_of_some_instances_leaves_the_others_alone(peaks):
    at, weights = peaks
    spread = PeakSpread(2)
    for number in range(VIEWS):
        rows = [0, 1] if number < 2 else [1]
        spread.add(at[number, rows], weights[number, rows], torch.tensor(rows))
    for instance, count in ((0, 2), (1, VIEWS)):
        alone = spread_of(at[:count, [instance]], weights[:count, [instance]])
        torch.testing.assert_close(spread.result()[[instance]], alone)


def test_the_mean_peak_is_weighted(peaks):
    spread = PeakSpread(2)
    for at, weight in zip(*peaks, strict=True):
        spread.add(at, weight)
    weights = peaks[1].clamp(min=0)
    seen = weights.sum(0) > 0
    expected = (peaks[0] * weights[..., None]).sum(0) / weights.sum(0)[..., None]
    torch.testing.assert_close(spread.mean()[seen], expected[seen])


def test_peak_spread_is_the_weighted_variance_around_the_weighted_mean(peaks):
    at, weights = (part.double().numpy() for part in peaks)
    weights = weights.clip(min=0)
    total = weights.sum(0)
    safe = np.where(total > 0, total, 1)
    mean = (at * weights[..., None]).sum(0) / safe[..., None]
    squares = ((at - mean) ** 2).sum(-1)
    expected = (squares * weights).sum(0) / safe
    np.testing.assert_allclose(spread_of(*peaks), expected, rtol=1e-4, atol=1e-4)


def test_peak_spread_does_not_depend_on_the_order_of_views(peaks):
    back = [part.flip(0) for part in peaks]
    torch.testing.assert_close(
        spread_of(*peaks), spread_of(*back), rtol=1e-4, atol=1e-4
    )


def test_peak_spread_does_not_cancel_far_from_the_origin():
    peaks = torch.tensor([[[[10000.0, 0.0]]], [[[10000.5, 0.0]]]])
    assert spread_of(peaks, torch.ones(2, 1, 1)).item() == pytest.approx(0.0625)


def test_peaks_without_evidence_have_no_spread(peaks):
    assert spread_of(*peaks)[0, 0] == 0


def test_heatmap_peaks_are_those_of_a_loop():
    heatmaps = torch.randn(3, 4, 7, 5, generator=torch.Generator().manual_seed(0))
    cells, values = heatmap_peaks(heatmaps)
    for n, k in np.ndindex(3, 4):
        y, x = np.unravel_index(heatmaps[n, k].argmax().item(), (7, 5))
        assert cells[n, k].tolist() == [x, y]
        assert values[n, k] == heatmaps[n, k, y, x]


def test_the_first_of_equal_peaks_in_reading_order_wins():
    heatmaps = torch.zeros(1, 2, 4, 6)
    for y, x in ((3, 0), (1, 5), (1, 4)):
        heatmaps[0, 1, y, x] = 1
    cells, values = heatmap_peaks(heatmaps)
    assert cells.tolist() == [[[0, 0], [4, 1]]]
    assert values.tolist() == [[0, 1]]


def test_identical_peaks_agree_perfectly():
    peaks = torch.full((VIEWS, 1, 2, 2), 123.4)
    spread = spread_of(peaks, torch.rand(VIEWS, 1, 2) + 0.1)
    agreement = view_agreement(spread, torch.tensor([900.0]), torch.tensor([0.1, 0.02]))
    torch.testing.assert_close(agreement, torch.ones(1, 2))


@pytest.mark.parametrize('apart', [1.0, 7.5])
def test_two_peaks_agree_as_oks_of_half_their_distance(apart):
    peaks = torch.tensor([[[[50.0, 50.0]]], [[[50.0 + apart, 50.0]]]])
    spread = spread_of(peaks, torch.ones(2, 1, 1))
    area, sigma = 1600.0, 0.05
    oks = np.exp(-((apart / 2) ** 2) / (2 * area * (2 * sigma) ** 2))
    agreement = view_agreement(spread, torch.tensor([area]), torch.tensor([sigma]))
    assert agreement.item() == pytest.approx(oks, rel=1e-5)


def test_a_box_without_area_gives_a_finite_agreement():
    agreement = view_agreement(torch.ones(1, 1), torch.zeros(1), torch.tensor([0.1]))
    assert 0 <= agreement.item() <= 1


@pytest.mark.parametrize('name', FUSIONS)
@pytest.mark.parametrize('count', [0, 2])
def test_merged_fusions_are_one_of_all_their_views(name, count, views):
    heatmaps, coverage = views
    parts = [FUSIONS[name](heatmaps.shape[1]) for _ in range(2)]
    for i, (view, seen) in enumerate(zip(heatmaps, coverage, strict=True)):
        parts[int(i >= count)].add(view, seen)

    parts[0].merge(parts[1])

    torch.testing.assert_close(parts[0].result(), fused(FUSIONS[name], *views))
    assert torch.equal(
        parts[0].covered().expand_as(heatmaps[0]),
        (coverage > 0).any(0).expand_as(heatmaps[0]),
    )


@pytest.mark.parametrize('name', FUSIONS)
def test_a_warp_takes_no_evidence_from_cells_that_have_none(name):
    left, right = FUSIONS[name](1), FUSIONS[name](1)
    left.add(torch.ones(1, 1, 1, 3), torch.ones(1, 3))
    right.add(torch.tensor([[[[0.0, 5.0]]]]), torch.tensor([[0.0, 1.0]]))
    halves = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])

    left.merge(right, lambda maps: maps @ halves.T)

    best = [1, 1, {'mean': 3, 'max': 5}[name]]
    assert left.result().flatten().tolist() == best


@pytest.mark.parametrize('count', [0, 2])
def test_merged_spreads_are_one_of_all_their_peaks(count, peaks):
    parts = [PeakSpread(2) for _ in range(2)]
    for i, (at, weight) in enumerate(zip(*peaks, strict=True)):
        parts[int(i >= count)].add(at, weight)

    parts[0].merge(parts[1])

    whole = PeakSpread(2)
    for at, weight in zip(*peaks, strict=True):
        whole.add(at, weight)
    torch.testing.assert_close(parts[0].result(), whole.result(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(parts[0].mean(), whole.mean())
