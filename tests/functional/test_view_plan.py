"""Tests of which views are shown of which instances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.view_plan import ViewPlan, make_views, suits
from mmdistill.functional.views import View

AREAS = torch.tensor([100.0, 400.0, 900.0])


def test_make_views_pairs_every_scale_with_its_flip():
    assert make_views((0.5, 1), flip=True) == (
        View(0.5),
        View(0.5, True),
        View(1.0),
        View(1.0, True),
    )


def test_make_views_without_flip_mirrors_nothing():
    assert make_views((0.5, 1), flip=False) == (View(0.5), View(1.0))


def test_aspect_ratios_and_rotations_stand_beside_the_scales():
    assert make_views((0.5, 1), False, aspect_ratios=(0.8,), rotations=(-10, 10)) == (
        View(0.5),
        View(1.0),
        View(aspect_ratio=0.8),
        View(rotation=-10.0),
        View(rotation=10.0),
    )


def test_every_crop_is_shown_at_every_resolution():
    views = make_views((0.5, 1), True, rotations=(10,), resolutions=(1, 1.5))
    assert len(views) == 3 * 2 * 2
    assert views[:6] == make_views((0.5, 1), True, rotations=(10,))
    assert {view.resolution for view in views[6:]} == {1.5}


def test_the_default_resolution_adds_no_view():
    assert make_views((1,), True, resolutions=(1.0,)) == make_views((1,), True)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(scales=(1,), resolutions=()), 'at least one resolution must be named'),
        (dict(scales=(1,), resolutions=(0,)), 'a resolution must be positive'),
        (dict(scales=(1,), resolutions=1.5), 'a resolution must be a number in a list'),
        (dict(scales=(1,), resolutions=(1.5, 1.5)), 'got 1 at 1.5 twice'),
        (dict(scales=()), 'at least one scale'),
        (dict(scales=(1.0, 0.0)), 'a scale must be positive and finite, got 0'),
        (dict(scales=(-1.0,)), 'a scale must be positive and finite, got -1'),
        (dict(scales=(float('nan'),)), 'positive and finite, got nan'),
        (dict(scales=(float('inf'),)), 'positive and finite, got inf'),
        (dict(scales=(1.0, 1)), 'a view must be named once, got 1 twice'),
        (dict(scales=(1,), aspect_ratios=(-2,)), 'an aspect ratio must be positive'),
        (dict(scales=(1,), aspect_ratios=(1,)), 'a view must be named once'),
        (dict(scales=(1,), rotations=(0,)), 'a view must be named once'),
        (dict(scales=(1,), rotations=(5, 5)), 'got 1 rotated 5 twice'),
        (dict(scales=(1,), rotations=(float('inf'),)), 'a rotation must be finite'),
        (dict(scales=(1,), rotations=(360,)), 'got 1 rotated 360 twice'),
        (dict(scales=(1,), rotations=(90, -270)), 'got 1 rotated -270 twice'),
        (dict(scales=(0.1 + 0.2, 0.3)), 'got 0.3 twice'),
        (dict(scales=1.5), 'a scale must be a number in a list, got 1.5'),
        (dict(scales='12'), "a scale must be a number in a list, got '12'"),
        (dict(scales=(1, '2')), r"a scale must be a number in a list, got \(1, '2'\)"),
        (dict(scales=None), 'a scale must be a number in a list, got None'),
        (dict(scales=(1,), aspect_ratios=1.2), 'an aspect ratio must be a number in'),
        (dict(scales=(1,), rotations=30), 'a rotation must be a number in a list'),
    ],
)
def test_make_views_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        make_views(flip=True, **settings)


@pytest.mark.parametrize(
    ('view', 'kept'),
    [
        (View(0.5), [False, True, True]),
        (View(0.99, True), [False, True, True]),
        (View(1.5), [True, True, False]),
        (View(), [True, True, True]),
        (View(aspect_ratio=0.5), [True, True, True]),
        (View(rotation=10.0), [True, True, True]),
        (View(resolution=0.75), [False, True, True]),
        (View(resolution=1.5, flip=True), [True, True, False]),
        (View(0.8, resolution=1.5), [False, True, False]),
    ],
)
def test_small_instances_are_not_scaled_down_nor_large_ones_up(view, kept):
    assert suits(view, AREAS, small_area=400, large_area=900).tolist() == kept


def test_views_that_depend_on_size_need_the_scale_one():
    with pytest.raises(ValueError, match=r'the scale 1 must be among them.*got 0.5'):
        ViewPlan((View(0.5),), areas=(1.0, 1.0))


@pytest.mark.parametrize('area', [-1.0, float('nan'), '180'])
def test_an_invalid_area_is_refused(area):
    with pytest.raises(ValueError, match='must be at least 0, got'):
        ViewPlan((View(),), areas=(area, 1.0))


def test_numbers_of_numpy_are_numbers():
    assert make_views(np.linspace(0.5, 1, 2, dtype=np.float32), flip=False) == (
        View(0.5),
        View(1.0),
    )


def unrolled(batches, num_instances):
    """Pairs of view and instance, in order, and the size of each batch."""
    pairs, sizes = [], []
    for batch in batches:
        sizes.append(0)
        for view, rows in batch:
            chosen = np.arange(num_instances)[rows]
            sizes[-1] += len(chosen)
            pairs += [(view, int(i)) for i in chosen]
    return pairs, sizes


@given(
    num_instances=st.integers(1, 12),
    room=st.integers(0, 40),
    num_scales=st.integers(1, 6),
    flip=st.booleans(),
)
def test_batches_show_every_view_of_every_instance_once_and_fit(
    num_instances, room, num_scales, flip
):
    views = make_views([1 + i / 10 for i in range(num_scales)], flip)
    size = num_instances + room
    batches = ViewPlan(views).batches(torch.ones(num_instances), size)
    pairs, sizes = unrolled(batches, num_instances)
    assert pairs == [(view, i) for view in views for i in range(num_instances)]
    assert max(sizes) <= size
    # No two batches in a row would have fitted into one.
    assert all(a + num_instances > size for a in sizes[:-1])


def test_views_at_different_resolutions_do_not_share_a_batch():
    plan = ViewPlan(make_views((1,), True, resolutions=(0.5, 1, 2)))
    resolutions = [
        [view.resolution for view, _ in batch] for batch in plan.batches(AREAS, 100)
    ]
    assert resolutions == [[0.5, 0.5], [1, 1], [2, 2]]


def test_a_batch_has_at_most_the_pixels_of_its_size():
    plan = ViewPlan(make_views((1, 1.1, 1.2, 1.3), False, resolutions=(0.5, 1, 2)))
    lengths = [len(batch) for batch in plan.batches(AREAS, 12)]
    # 3 instances: all four at 0.5 are the pixels of 3, a view at 2 those of 12.
    assert lengths == [4, 4, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ('resolutions', 'expected'), [((0.5,), 8), ((1,), 8), ((1, 2), 2), ((5,), 1)]
)
def test_blocks_shrink_as_the_largest_input_grows(resolutions, expected):
    plan = ViewPlan(make_views((1,), True, resolutions=resolutions))
    assert plan.block_size(8) == expected


def test_views_that_depend_on_size_need_resolution_one():
    with pytest.raises(ValueError, match=r'at resolution 1.*got 1 at 0.5, 0.5'):
        ViewPlan((View(resolution=0.5), View(0.5)), areas=(1.0, 1.0))


def test_batches_leave_out_instances_that_a_view_does_not_suit():
    plan = ViewPlan((View(0.5), View(1.0), View(2.0)), areas=(400, 900))
    pairs, sizes = unrolled(plan.batches(AREAS, 3), 3)
    expected = [(View(0.5), 1), (View(0.5), 2)]
    expected += [(View(1.0), i) for i in range(3)]
    expected += [(View(2.0), 0), (View(2.0), 1)]
    assert pairs == expected
    assert sizes == [2, 3, 2]


def test_a_view_that_suits_no_instance_is_not_shown():
    plan = ViewPlan((View(0.5), View(1.0)), areas=(1e9, 1e9))
    assert [view for batch in plan.batches(AREAS, 8) for view, _ in batch] == [View()]
