"""Tests of the orders that are never stored."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.functional.permutation import hash_key, hash_keys, permuted

KEYS = st.integers(0, 2**64 - 1)


@given(st.integers(1, 600), KEYS)
def test_every_item_comes_exactly_once(size, key):
    items = permuted(np.arange(size), size, key)
    np.testing.assert_array_equal(np.sort(items), np.arange(size))


@pytest.mark.parametrize('size', [4095, 4096, 4097, 100_003])
def test_every_item_of_a_large_order_comes_exactly_once(size):
    items = permuted(np.arange(size), size, 7)
    np.testing.assert_array_equal(np.sort(items), np.arange(size))


def test_positions_of_an_order_over_billions_are_distinct_and_inside():
    size = 5_000_000_000
    items = permuted(np.arange(0, size, size // 1000), size, 3)
    assert len(np.unique(items)) == len(items)
    assert items.min() >= 0
    assert items.max() < size


@given(st.integers(1, 600), KEYS, st.data())
def test_an_item_does_not_depend_on_the_positions_asked_with_it(size, key, data):
    position = data.draw(st.integers(0, size - 1))
    alone = permuted(np.array(position), size, key)
    assert alone == permuted(np.arange(size), size, key)[position]


def test_keys_give_different_orders():
    orders = {tuple(permuted(np.arange(50), 50, key)) for key in range(200)}
    assert len(orders) == 200


def test_positions_are_not_written_to():
    positions = np.arange(30)
    permuted(positions, 30, 1)
    np.testing.assert_array_equal(positions, np.arange(30))


@pytest.mark.parametrize('size', [3, 4])
def test_all_orders_of_a_few_items_are_about_equally_frequent(size):
    keys = 3000
    seen = [tuple(permuted(np.arange(size), size, hash_key(k))) for k in range(keys)]
    orders = list(itertools.permutations(range(size)))
    counts = np.array([seen.count(order) for order in orders])
    expected = keys / len(orders)
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # Mean of the statistic: degrees of freedom; standard deviation: sqrt(2 * them).
    freedom = len(orders) - 1
    assert chi_square < freedom + 6 * np.sqrt(2 * freedom)


@pytest.mark.parametrize('size', [10, 37])
def test_an_item_is_about_equally_often_at_each_position(size):
    keys = 600
    orders = [permuted(np.arange(size), size, hash_key(key)) for key in range(keys)]
    counts = sum(np.eye(size)[order] for order in orders)
    expected = keys / size
    chi_square = ((counts - expected) ** 2 / expected).sum()
    freedom = (size - 1) ** 2
    assert chi_square < freedom + 6 * np.sqrt(2 * freedom)


@pytest.mark.parametrize(('position', 'size'), [(-1, 5), (5, 5), (0, 0)])
def test_positions_outside_are_refused(position, size):
    with pytest.raises(ValueError, match=f'got {position}'):
        permuted(np.array([position]), size, 1)


def test_the_order_of_the_parts_of_a_key_matters():
    assert hash_key(1, 2) != hash_key(2, 1)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_keys_have_64_bits(parts):
    assert 0 <= hash_key(*parts) < 2**64


@given(KEYS, st.lists(st.integers(0, 2**62), min_size=1))
def test_keys_of_many_numbers_are_those_of_each(key, numbers):
    found = hash_keys(key, np.array(numbers))
    assert found.tolist() == [hash_key(key, number) for number in numbers]
