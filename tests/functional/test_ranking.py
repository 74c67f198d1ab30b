"""Ranks and their products against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from mmdistill.functional.ranking import (
    compared_values,
    instance_agreement,
    rank_correlation,
    rank_product,
    ranks,
    ranks_among,
)

TIED = st.integers(-2, 4).map(lambda value: np.float32(value / 4))


def columns(count: int, min_size: int = 0) -> st.SearchStrategy:
    """Some equally long arrays with many ties."""
    sizes = st.integers(min_size, 20)
    return sizes.flatmap(
        lambda size: st.tuples(
            *[arrays(np.float32, size, elements=TIED) for _ in range(count)]
        )
    )


@given(columns(1))
def test_a_rank_is_the_mean_position_of_its_ties(drawn):
    (values,) = drawn
    for value, rank in zip(values, ranks(values), strict=True):
        below, equal = (values < value).sum(), (values == value).sum()
        places = range(below + 1, below + equal + 1)
        assert rank * len(values) == pytest.approx(np.mean(places))


def test_many_ranks_are_those_of_scipy():
    values = np.random.default_rng(3).integers(0, 500, 5000).astype(np.float32)
    np.testing.assert_allclose(ranks(values) * 5000, rankdata(values))


@given(st.integers(1, 30))
def test_equal_values_share_the_middle_rank(size):
    assert set(ranks(np.full(size, 0.5))) == {(size + 1) / 2 / size}


@given(columns(2, 1), st.randoms())
def test_the_product_does_not_depend_on_the_order(drawn, random):
    order = list(range(len(drawn[0])))
    random.shuffle(order)
    expected = rank_product(*drawn)[order]
    assert np.array_equal(rank_product(*(c[order] for c in drawn)), expected)


@given(columns(2, 1))
def test_the_product_is_that_of_both_ranks(drawn):
    n = len(drawn[0])
    expected = [rankdata(drawn[0])[i] / n * rankdata(drawn[1])[i] / n for i in range(n)]
    assert rank_product(*drawn) == pytest.approx(expected)


@given(columns(2, 1), st.data())
def test_groups_are_ranked_by_themselves(drawn, data):
    groups = data.draw(arrays(np.int32, len(drawn[0]), elements=st.integers(0, 2)))
    values = compared_values('both', *drawn, groups, 3)
    for group in range(3):
        mine = groups == group
        expected = rank_product(drawn[0][mine], drawn[1][mine])
        assert np.array_equal(values[mine], expected)


@given(columns(2))
def test_one_column_alone_is_compared_as_it_is(drawn):
    groups = np.zeros(len(drawn[0]), np.int32)
    for number, by in enumerate(('score', 'agreement')):
        values = compared_values(by, *drawn, groups, 1)
        assert np.array_equal(values, drawn[number])


@given(st.data())
def test_agreement_is_the_mean_over_keypoints_that_count(data):
    shape = (data.draw(st.integers(0, 6)), data.draw(st.integers(1, 5)))
    agreement = data.draw(arrays(np.float32, shape, elements=TIED))
    counts = data.draw(arrays(bool, shape))
    found = instance_agreement(agreement, counts)
    for row in range(shape[0]):
        mine = [float(a) for a, c in zip(agreement[row], counts[row], strict=True) if c]
        assert found[row] == pytest.approx(sum(mine) / len(mine) if mine else 0)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
def test_values_far_apart_are_ranked_too(drawn):
    values = np.float32(drawn) * np.float32(1e6)
    np.testing.assert_allclose(ranks(values) * len(drawn), rankdata(drawn))


def test_values_that_differ_by_noise_tie():
    assert ranks(np.float32([0.5, 0.5 + 2**-24, 0.75])).tolist() == [0.5, 0.5, 1]


@given(columns(1))
def test_among_themselves_values_have_their_own_ranks(drawn):
    (values,) = drawn
    assert np.array_equal(ranks_among(values, values), ranks(values))


@given(columns(1, 1), st.integers(-20, 40))
def test_another_value_ranks_between_its_neighbors(drawn, number):
    (others,), value = drawn, np.float32(number / 8)
    (rank,) = ranks_among(np.array([value]), others)
    places = ranks(others)
    assert 0 < rank <= 1
    assert rank == 1 or (places[others < value] < rank).all()
    assert (places[others == value] == rank).all()
    assert (places[others > value] > rank).all()


def test_without_others_every_rank_is_one():
    assert ranks_among(np.float32([0.1, 0.2]), np.zeros(0, np.float32)).tolist() == [
        1,
        1,
    ]


def test_rank_correlation_knows_order_alone():
    a = np.array([1.0, 2.0, 3.0, 10.0])
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)


def test_rank_correlation_is_scipy_s_with_ties():
    a, b = np.random.default_rng(0).integers(0, 9, (2, 200))
    expected = spearmanr(a, a + b).statistic
    assert rank_correlation(a, a + b) == pytest.approx(expected)
    assert 0.3 < expected < 0.9
