"""Tests of views: where a view sees a place, against MMPose's own warps."""

import numpy as np
import pytest
import torch
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

from mmdistill.functional.views import Frame, View, is_same, to_reference, to_view

INPUT = (192, 256)
CENTER, EXTENT = np.array([310.0, 205.0]), np.array([150.0, 200.0])
PLACES = np.random.default_rng(0).uniform(0.2, 0.8, (20, 2))
VIEWS = [
    View(),
    View(0.5),
    View(1.5, flip=True),
    View(aspect_ratio=1.2),
    View(0.8, flip=True, aspect_ratio=0.9),
]
TURNED = [View(rotation=20.0), View(1.3, rotation=-35.0), View(1.0, True, 1.0, 90.0)]


def shown_by_mmpose(view, place, use_udp):
    """Relative position where MMPose's warp of the view's crop shows a place."""
    extent = EXTENT / [view.scale * view.aspect_ratio, view.scale]
    # The UDP warp of MMPose turns the other way round than its plain warp.
    degrees = -view.rotation if use_udp else view.rotation
    warp = get_udp_warp_matrix if use_udp else get_warp_matrix
    matrix = warp(CENTER, extent, degrees, INPUT)
    pixel = matrix @ np.array([*(CENTER + (place - 0.5) * EXTENT), 1.0])
    if view.flip:
        pixel[0] = INPUT[0] - 1 - pixel[0]
    return pixel / (np.array(INPUT) - (1 if use_udp else 0))


# The plain warp of MMPose keeps the aspect ratio of what it shows.
@pytest.mark.parametrize(
    ('view', 'use_udp'),
    [(v, udp) for v in VIEWS for udp in (0, 1) if udp or v.aspect_ratio == 1],
    ids=str,
)
def test_a_view_shows_positions_where_the_warp_of_mmpose_shows_them(view, use_udp):
    shown = to_view(view, Frame(*INPUT, use_udp), torch.from_numpy(PLACES))
    expected = [shown_by_mmpose(view, place, use_udp) for place in PLACES]
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('view', TURNED, ids=str)
def test_a_rotated_view_shows_positions_where_the_plain_warp_shows_them(view):
    shown = to_view(view, Frame(*INPUT, use_udp=False), torch.from_numpy(PLACES))
    expected = [shown_by_mmpose(view, place, use_udp=False) for place in PLACES]
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-5)


def test_a_quarter_turn_brings_what_lies_right_of_the_center_to_the_top():
    frame = Frame(100, 100, use_udp=False)
    shown = to_view(View(rotation=90.0), frame, torch.tensor([[0.8, 0.5]]))
    torch.testing.assert_close(shown, torch.tensor([[0.5, 0.2]]))


@pytest.mark.parametrize('use_udp', [False, True])
@pytest.mark.parametrize('view', VIEWS + TURNED, ids=str)
def test_to_reference_inverts_to_view(view, use_udp):
    frame, places = Frame(*INPUT, use_udp), torch.from_numpy(PLACES)
    there_and_back = to_reference(view, frame, to_view(view, frame, places))
    torch.testing.assert_close(there_and_back, places)


@pytest.mark.parametrize(
    ('view', 'name'),
    [
        (View(), '1'),
        (View(0.75, True), '0.75 flipped'),
        (View(aspect_ratio=1.2), '1 aspect 1.2'),
        (View(1.0, True, 1.0, -15.0), '1 rotated -15 flipped'),
    ],
)
def test_a_view_has_a_name(view, name):
    assert str(view) == name


def test_only_rotations_are_not_separable():
    assert [view.separable for view in (*VIEWS, *TURNED)] == [True] * 5 + [False] * 3


@pytest.mark.parametrize(
    ('view', 'other', 'same'),
    [
        (View(0.1 + 0.2), View(0.3), True),
        (View(rotation=350.0), View(rotation=-10.0), True),
        (View(rotation=720.0), View(), True),
        (View(flip=True), View(), False),
        (View(1.001), View(), False),
        (View(aspect_ratio=1.2), View(1.2), False),
        (View(rotation=180.0), View(), False),
    ],
)
def test_views_are_the_same_when_they_show_the_same(view, other, same):
    assert is_same(view, other) is same
    assert is_same(other, view) is same
