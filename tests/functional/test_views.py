"""Tests of views: where a view sees a place, and the way back."""

import numpy as np
import pytest
import torch
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from mmdistill.functional.views import (
    Axis,
    View,
    make_views,
    reference_positions,
    undo_matrix,
    undo_view,
    view_cells,
)

INPUT = (192, 256)
CELLS = (48, 64)
SIGMA = 2.0
SCALES = (0.5, 0.75, 0.9, 1.0, 1.2, 1.5)


def axes(use_udp):
    """Both axes of a codec of MMPose: stride 4, or reaching the far edge."""
    return tuple(
        Axis(
            cells=cells,
            stride=pixels / (cells - 1) if use_udp else pixels / cells,
            offset=0.0,
            pixels=pixels,
            use_udp=use_udp,
        )
        for cells, pixels in zip(CELLS, INPUT, strict=True)
    )


def seen_at(view, place, use_udp):
    """Cell (x, y) where a view shows a place of the image, by MMPose's warp."""
    center, extent = np.array([310.0, 205.0]), np.array([150.0, 200.0])
    warp = get_udp_warp_matrix if use_udp else get_warp_matrix
    matrix = warp(center, extent / view.scale, 0.0, INPUT)
    pixel = matrix @ np.array([*(center + (place - 0.5) * extent), 1.0])
    if view.flip:
        pixel[0] = INPUT[0] - 1 - pixel[0]
    lengths = np.array([INPUT, CELLS], dtype=float) - (1 if use_udp else 0)
    return pixel * lengths[1] / lengths[0]


def gaussian(peak):
    """Heatmap (h, w) of an analytic Gaussian."""
    x, y = (np.arange(n) - c for n, c in zip(CELLS, peak, strict=True))
    return np.exp(-(x**2 + y[:, None] ** 2) / (2 * SIGMA**2))


def centroid(heatmap):
    """Sub-cell peak (x, y) of a symmetric bump."""
    x, y = np.arange(CELLS[0]), np.arange(CELLS[1])
    total = heatmap.sum()
    return np.array([heatmap.sum(0) @ x, heatmap.sum(1) @ y]) / total


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('flip', [False, True])
@pytest.mark.parametrize('scale', SCALES)
def test_undo_brings_an_analytic_gaussian_back_to_its_place(scale, flip, use_udp):
    view = View(scale, flip)
    both = axes(use_udp)
    columns, rows = (undo_matrix(view, axis, i == 0) for i, axis in enumerate(both))
    for place in np.random.default_rng(0).uniform(0.45, 0.55, (8, 2)):
        undone = rows @ gaussian(seen_at(view, place, use_udp)) @ columns.T
        expected = seen_at(View(), place, use_udp)
        np.testing.assert_allclose(centroid(undone), expected, rtol=0, atol=0.05)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', [View(0.7), View(1.3, True), View(1.0, True)])
def test_view_cells_are_where_mmpose_warps_the_reference_cells(view, use_udp):
    for i, axis in enumerate(axes(use_udp)):
        cells = view_cells(view, axis, horizontal=i == 0)
        expected = []
        for cell in range(axis.cells):
            place = np.full(2, cell / (axis.cells - 1 if use_udp else axis.cells))
            expected.append(seen_at(view, place, use_udp)[i])
        np.testing.assert_allclose(cells, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('horizontal', [False, True])
def test_reference_positions_invert_view_cells(horizontal, use_udp):
    axis = axes(use_udp)[0]
    view = View(1.3, True)
    cells = torch.from_numpy(view_cells(view, axis, horizontal))
    positions = reference_positions(view, axis, horizontal, cells)
    there_and_back = axis.cell(positions.numpy())
    np.testing.assert_allclose(there_and_back, np.arange(axis.cells), atol=1e-9)


@pytest.mark.parametrize('use_udp', [False, True])
def test_undoing_the_reference_view_is_the_identity(use_udp):
    for i, axis in enumerate(axes(use_udp)):
        matrix = undo_matrix(View(), axis, horizontal=i == 0)
        np.testing.assert_array_equal(matrix, np.eye(axis.cells))


def test_undoing_a_udp_flip_reverses_the_columns_exactly():
    matrix = undo_matrix(View(flip=True), axes(use_udp=True)[0], horizontal=True)
    np.testing.assert_array_equal(matrix, np.eye(CELLS[0])[::-1])


def test_undoing_a_plain_flip_shifts_by_three_quarters_of_a_cell():
    matrix = undo_matrix(View(flip=True), axes(use_udp=False)[0], horizontal=True)
    reverse = np.eye(CELLS[0])[::-1]
    shifted = np.zeros_like(reverse)
    shifted[1:] = 0.25 * reverse[1:] + 0.75 * reverse[:-1]
    np.testing.assert_allclose(matrix, shifted, atol=1e-12)


def test_a_flip_leaves_rows_alone():
    axis = axes(use_udp=False)[1]
    flipped, plain = (undo_matrix(View(1.2, f), axis, False) for f in (True, False))
    np.testing.assert_array_equal(flipped, plain)


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('scale', SCALES)
def test_rows_of_the_undo_matrix_sum_to_one_where_the_view_sees(scale, use_udp):
    axis = axes(use_udp)[0]
    cells = view_cells(View(scale), axis, horizontal=True)
    seen = (cells > -1e-9) & (cells < axis.cells - 1 + 1e-9)
    sums = undo_matrix(View(scale), axis, horizontal=True).sum(1)
    np.testing.assert_allclose(sums, seen.astype(float), atol=1e-12)


def test_undo_view_equals_a_loop_over_cells():
    generator = torch.Generator().manual_seed(0)
    heatmaps = torch.rand(2, 3, 4, 5, generator=generator)
    columns = torch.rand(5, 5, generator=generator)
    rows = torch.rand(4, 4, generator=generator)
    undone = undo_view(heatmaps, columns, rows)
    for y in range(4):
        for x in range(5):
            weight = rows[y][:, None] * columns[x]
            torch.testing.assert_close(
                undone[..., y, x], (heatmaps * weight).sum((2, 3))
            )


def test_make_views_pairs_every_scale_with_its_flip():
    assert make_views((0.5, 1), flip=True) == (
        View(0.5),
        View(0.5, True),
        View(1.0),
        View(1.0, True),
    )


def test_make_views_without_flip_mirrors_nothing():
    assert make_views((0.5, 1), flip=False) == (View(0.5), View(1.0))


@pytest.mark.parametrize(
    ('scales', 'message'),
    [
        ((), 'at least one scale'),
        ((1.0, 0.0), 'positive, got 0'),
        ((-1.0,), 'positive, got -1'),
        ((float('nan'),), 'positive, got nan'),
        ((1.0, 1), 'named once'),
    ],
)
def test_make_views_refuses(scales, message):
    with pytest.raises(ValueError, match=message):
        make_views(scales, flip=True)
