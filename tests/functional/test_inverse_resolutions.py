"""Tests of the way back from outputs at other resolutions to the reference grid."""

import numpy as np
import pytest
import torch

from mmdistill.functional.inverse_views import (
    Axis,
    Grid,
    inverse_of,
    reference_jacobian,
    view_cells,
)
from mmdistill.functional.views import Frame, View, to_view

FINE, OWN, COARSE = (240, 320), (192, 256), (112, 128)
VIEWS = [
    View(),
    View(flip=True),
    View(0.6),
    View(1.4, True),
    View(aspect_ratio=1.25, flip=True),
    View(rotation=20.0),
    View(1.2, True, 1.0, -40.0),
]
KINDS = ['plain', 'udp', 'half a cell']


def grid(size, kind, reference=FINE):
    """Grid of a codec of MMPose with a stride of 4."""
    own = size[0] / size[1] == reference[0] / reference[1]
    aspect_ratio = None if own else reference[0] / reference[1]
    axes = tuple(
        Axis(
            cells=pixels // 4,
            stride=pixels / (pixels // 4 - 1) if kind == 'udp' else 4.0,
            offset=2.0 if kind == 'half a cell' else 0.0,
            pixels=pixels,
        )
        for pixels in size
    )
    return Grid(Frame(*size, kind == 'udp', aspect_ratio), axes)


def warp(view, size, kind):
    onto, own = grid(FINE, kind), grid(size, kind)
    return inverse_of(view, own.frame, own.axes, onto), own, onto


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [OWN, COARSE])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_a_resolution_covers_what_the_view_covers_on_the_fused_grid(view, size, kind):
    undo, _, onto = warp(view, size, kind)
    same = inverse_of(view, onto.frame, onto.axes)
    assert torch.equal(undo.coverage, same.coverage)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [OWN, COARSE])
def test_no_border_of_the_reference_view_lacks_evidence(size, kind):
    undo, own, _ = warp(View(), size, kind)
    assert undo.coverage.all()
    everywhere = torch.full((1, 1, *own.size[::-1]), 0.75)
    torch.testing.assert_close(
        undo(everywhere), torch.full((1, 1, 80, 60), 0.75), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [OWN, COARSE])
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_a_linear_ramp_stays_where_it_is(view, size, kind):
    """Interpolation keeps linear functions of the position, inside of the outputs."""
    undo, own, onto = warp(view, size, kind)
    x, y = (axis.position(torch.arange(axis.cells).double()) for axis in own.axes)
    ramp = (0.3 * x + 0.7 * y[:, None])[None, None].float()
    cells = view_cells(view, own.frame, own.axes, onto)
    last = torch.tensor(own.size) - 1
    inside = ((cells >= 0) & (cells <= last)).all(-1) & undo.coverage.bool()
    x, y = (axis.position(torch.arange(axis.cells).double()) for axis in onto.axes)
    reference = torch.stack(torch.meshgrid(x, y, indexing='xy'), dim=-1)
    shown = to_view(view, own.frame, reference)
    expected = 0.3 * shown[..., 0] + 0.7 * shown[..., 1]
    found = undo(ramp)[0, 0]
    assert inside.sum() > 1000
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_cells_beyond_the_outermost_one_take_its_value(view):
    """Against a slow loop over the border of the fused grid."""
    undo, own, onto = warp(view, COARSE, 'half a cell')
    generator = torch.Generator().manual_seed(0)
    heatmap = torch.rand(1, 1, *own.size[::-1], generator=generator)
    found = undo(heatmap)[0, 0]
    cells = view_cells(view, own.frame, own.axes, onto)
    columns, rows = onto.size
    border = [(y, x) for y in (0, rows // 2, rows - 1) for x in (0, 7, columns - 1)]
    for y, x in border:
        if undo.coverage[y, x]:
            at = [
                min(max(float(cell), 0), length - 1)
                for cell, length in zip(cells[y, x], own.size, strict=True)
            ]
            expected = bilinear(heatmap[0, 0].numpy(), *at)
            assert found[y, x].item() == pytest.approx(expected, abs=1e-4)
        else:
            assert found[y, x] == 0


def bilinear(values, x, y):
    total = 0.0
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
            total += weight * float(values[row, column])
    return total


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('view', VIEWS, ids=str)
def test_the_jacobian_is_that_of_the_cells(view, kind):
    own, onto = grid(COARSE, kind), grid(FINE, kind)
    jacobian = reference_jacobian(view, own.frame, own.axes, onto)
    cells = view_cells(view, own.frame, own.axes, onto)
    steps = torch.stack(
        [cells[40, 31] - cells[40, 30], cells[41, 30] - cells[40, 30]], dim=1
    )
    torch.testing.assert_close(
        jacobian @ steps, torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-4
    )


def test_a_rounded_input_turns_the_crop_and_not_its_pixels():
    """90 degrees of a crop of 3:4 whose input of 5:6 has pixels that are not square."""
    frame = Frame(160, 192, use_udp=False, crop_aspect_ratio=0.75)
    own = Frame(192, 256, use_udp=False)
    positions = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    for view in (View(rotation=90.0), View(1.3, False, 1.1, -20.0)):
        torch.testing.assert_close(
            to_view(view, frame, positions), to_view(view, own, positions)
        )
