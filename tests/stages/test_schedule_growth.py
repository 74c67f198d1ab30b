"""Tests of how a schedule grows with its data."""

import pytest

from mmdistill.stages.schedule import (
    grown_epochs,
    grown_iterations,
    growth,
    milestones_at,
)


@pytest.mark.parametrize(
    ('labeled', 'selected', 'cap', 'factor'),
    [(100, 0, 4, 1.0), (100, 50, 4, 1.5), (100, 900, 4, 4.0), (100, 900, 10, 10.0)],
)
def test_iterations_grow_with_the_samples_up_to_the_cap(labeled, selected, cap, factor):
    assert growth(labeled, selected, cap) == pytest.approx(factor)


@pytest.mark.parametrize('cap', [0.5, 0.0, -1.0, float('nan')])
def test_a_cap_below_one_is_refused(cap):
    with pytest.raises(ValueError, match=f'max_factor must be at least 1, got {cap}'):
        growth(100, 50, cap)


def test_grown_iterations_are_whole():
    assert grown_iterations(1001, 1.5) == 1502


def test_epochs_stay_where_iterations_may_grow_as_the_data_do():
    assert grown_epochs(210, factor=3.3, data_factor=3.3) == 210


@pytest.mark.parametrize('labeled', [64, 640])
def test_capped_epochs_have_the_iterations_of_the_cap(labeled):
    """Ten times the data, three times the iterations."""
    batch_size, epochs = 64, 210
    before = epochs * labeled / batch_size
    after = grown_epochs(epochs, 3.0, 10.0) * 10 * labeled / batch_size
    assert after == pytest.approx(3 * before, rel=0.01)


def test_there_is_an_epoch_at_least():
    assert grown_epochs(1, 1.0, 50.0) == 1


def test_milestones_stand_at_their_shares():
    assert milestones_at((0.7, 0.9), 1500) == [1050, 1350]


@pytest.mark.parametrize('shares', [(0.9, 0.7), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5)])
def test_milestones_out_of_order_or_range_are_refused(shares):
    with pytest.raises(ValueError, match='ascending shares between 0 and 1'):
        milestones_at(shares, 100)
