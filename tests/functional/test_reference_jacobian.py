"""Tests of what becomes of a step of one cell when a view is undone."""

import pytest
import torch

from mmdistill.functional.inverse_views import Axis, reference_jacobian
from mmdistill.functional.views import Frame, View

FRAME = Frame(96, 128, use_udp=False)
SQUARE_CELLS = Axis(24, 4.0, 0.0, 96), Axis(32, 4.0, 0.0, 128)


@pytest.mark.parametrize(
    ('view', 'expected'),
    [
        (View(), [[1, 0], [0, 1]]),
        (View(2.0), [[0.5, 0], [0, 0.5]]),
        (View(flip=True), [[-1, 0], [0, 1]]),
        (View(aspect_ratio=4.0, flip=True), [[-0.25, 0], [0, 1]]),
        # At 90 degrees the crop's upper edge lies to the right in the image, so
        # its rows lead left and its columns lead down.
        (View(rotation=90.0), [[0, -1], [1, 0]]),
    ],
    ids=str,
)
def test_steps_are_those_of_the_picture(view, expected):
    found = reference_jacobian(view, FRAME, SQUARE_CELLS)
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


def test_steps_of_oblong_cells_are_turned_as_pixels():
    """A step of 4 pixels to the right becomes one of 4 pixels down: half a cell."""
    axes = Axis(24, 4.0, 0.0, 96), Axis(16, 8.0, 0.0, 128)
    found = reference_jacobian(View(rotation=90.0), FRAME, axes)
    assert found[:, 0].tolist() == pytest.approx([0, 0.5], abs=1e-9)
