"""Tests of the way back from a view's output to the reference crop."""

import numpy as np
import pytest
import torch

from mmdistill.functional.inverse_views import (
    Axis,
    InverseWarps,
    inverse_matrix,
    inverse_of,
    reference_positions,
    view_cells,
)
from mmdistill.functional.views import Frame, View, to_view

INPUT = (192, 256)
CELLS = (48, 64)
SIGMA = 2.0
VIEWS = [
    *(View(scale, flip) for scale in (0.5, 0.75, 1, 1.2, 1.5) for flip in (0, 1)),
    View(aspect_ratio=0.8),
    View(aspect_ratio=1.25, flip=True),
    View(rotation=15.0),
    View(1.2, True, 1.0, -40.0),
]
SEPARABLE = [view for view in VIEWS if view.separable]


def axes(use_udp):
    """Both axes of a codec of MMPose: stride 4, or reaching the far edge."""
    return tuple(
        Axis(
            cells=cells,
            stride=pixels / (cells - 1) if use_udp else pixels / cells,
            offset=0.0,
            pixels=pixels,
        )
        for cells, pixels in zip(CELLS, INPUT, strict=True)
    )


def cell_of(place, use_udp):
    """Cell (x, y) that shows a relative position of a crop."""
    lengths = np.array(CELLS) - (1 if use_udp else 0)
    return np.asarray(place) * lengths


def gaussian(peak):
    """Heatmap (1, 1, h, w) of an analytic Gaussian."""
    x, y = (np.arange(n) - c for n, c in zip(CELLS, peak, strict=True))
    heatmap = np.exp(-(x**2 + y[:, None] ** 2) / (2 * SIGMA**2))
    return torch.from_numpy(heatmap).float()[None, None]


def centroid(heatmap):
    """Sub-cell peak (x, y) of a symmetric bump."""
    heatmap = heatmap[0, 0].double().numpy()
    x, y = np.arange(CELLS[0]), np.arange(CELLS[1])
    return np.array([heatmap.sum(0) @ x, heatmap.sum(1) @ y]) / heatmap.sum()


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_the_inverse_moves_an_analytic_gaussian_back_to_its_position(view, use_udp):
    frame = Frame(*INPUT, use_udp)
    undo = inverse_of(view, frame, axes(use_udp))
    for place in np.random.default_rng(0).uniform(0.45, 0.55, (8, 2)):
        shown = to_view(view, frame, torch.from_numpy(place)).numpy()
        undone = undo(gaussian(cell_of(shown, use_udp)))
        expected = cell_of(place, use_udp)
        np.testing.assert_allclose(centroid(undone), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_view_cells_are_where_the_view_shows_the_reference_cells(view, use_udp):
    frame = Frame(*INPUT, use_udp)
    found = view_cells(view, frame, axes(use_udp))
    for x, y in ((0, 0), (47, 63), (10, 50)):
        place = torch.tensor([x, y]) / (torch.tensor(CELLS) - (1 if use_udp else 0))
        expected = cell_of(to_view(view, frame, place.double()), use_udp)
        np.testing.assert_allclose(found[y, x], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_reference_positions_invert_view_cells(view, use_udp):
    frame, both = Frame(*INPUT, use_udp), axes(use_udp)
    places = reference_positions(view, frame, both, view_cells(view, frame, both))
    cells = torch.stack([both[i].cell(places[..., i]) for i in range(2)], dim=-1)
    expected = np.stack(np.meshgrid(*map(np.arange, CELLS)), axis=-1)
    np.testing.assert_allclose(cells, expected, atol=1e-5)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('i', [0, 1])
def test_undoing_the_reference_view_is_the_identity(i, use_udp):
    matrix = inverse_matrix(View(), Frame(*INPUT, use_udp), axes(use_udp), i)
    np.testing.assert_array_equal(matrix, np.eye(CELLS[i]))


def test_undoing_a_udp_flip_reverses_the_columns_exactly():
    matrix = inverse_matrix(View(flip=True), Frame(*INPUT, True), axes(True), 0)
    np.testing.assert_array_equal(matrix, np.eye(CELLS[0])[::-1])


def test_undoing_a_plain_flip_shifts_by_three_quarters_of_a_cell():
    matrix = inverse_matrix(View(flip=True), Frame(*INPUT, False), axes(False), 0)
    reverse = np.eye(CELLS[0])[::-1]
    shifted = np.zeros_like(reverse)
    shifted[1:] = 0.25 * reverse[1:] + 0.75 * reverse[:-1]
    np.testing.assert_allclose(matrix, shifted, atol=1e-6)


def test_a_flip_leaves_rows_alone():
    frame, both = Frame(*INPUT, False), axes(False)
    flipped, plain = (
        inverse_matrix(View(1.2, f), frame, both, 1) for f in (True, False)
    )
    assert torch.equal(flipped, plain)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', SEPARABLE, ids=str)
def test_rows_of_the_undo_matrix_sum_to_one_where_the_view_sees(view, use_udp):
    frame, both = Frame(*INPUT, use_udp), axes(use_udp)
    cells = view_cells(view, frame, both)[0, :, 0]
    seen = (cells > -1e-9) & (cells < both[0].cells - 1 + 1e-9)
    sums = inverse_matrix(view, frame, both, 0).sum(1)
    np.testing.assert_allclose(sums, seen.float(), atol=1e-6)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_undoing_reads_between_cells_and_nothing_outside(view, use_udp):
    """Against a slow loop over the cells of the reference."""
    frame, both = Frame(*INPUT, use_udp), axes(use_udp)
    generator = torch.Generator().manual_seed(0)
    heatmap = torch.rand(1, 1, CELLS[1], CELLS[0], generator=generator)
    undo = inverse_of(view, frame, both)
    undone = undo(heatmap)[0, 0]
    cells = view_cells(view, frame, both)
    for y, x in ((5, 7), (0, 0), (32, 24), (63, 47), (40, 2), (11, 45)):
        at_x, at_y = cells[y, x].tolist()
        covered = 0 <= at_x <= CELLS[0] - 1 and 0 <= at_y <= CELLS[1] - 1
        assert undo.coverage[y, x] == covered
        expected = bilinear(heatmap[0, 0], at_x, at_y) if covered else 0.0
        assert undone[y, x].item() == pytest.approx(expected, abs=1e-4)


def bilinear(picture, x, y):
    left, top = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
            if weight > 0:
                total += weight * picture[row, column].item()
    return total


@pytest.mark.parametrize('view', [View(0.8, True), View(rotation=10.0)], ids=str)
def test_an_undo_moves_to_another_device(view):
    meta = torch.device('meta')
    undo = inverse_of(view, Frame(*INPUT, True), axes(True)).to(meta)
    assert undo(torch.empty(2, 3, 64, 48, device=meta)).shape == (2, 3, 64, 48)
    assert undo.coverage.device == meta


def test_the_inverse_of_a_view_is_built_once_per_device():
    warps, view = InverseWarps(Frame(*INPUT, True), axes(True)), View(0.8, True)
    cpu, meta = torch.device('cpu'), torch.device('meta')
    assert warps.get(view, cpu) is warps.get(view, cpu)
    assert warps.get(view, meta).coverage.device == meta
    expected = inverse_of(view, Frame(*INPUT, True), axes(True))
    assert torch.equal(warps.get(view, cpu).columns, expected.columns)
