import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.reports.choice import choose_kept, choose_rejected

SCORES = np.array([0.3, 0.9, 0.1, 0.5, 0.7, 0.2, 0.6, 0.4], dtype=np.float32)


def test_kept_span_from_the_best_to_the_threshold():
    chosen = choose_kept(SCORES, np.float32(0.4) <= SCORES, 3)
    assert SCORES[chosen].tolist() == pytest.approx([0.9, 0.6, 0.4])


def test_rejected_are_half_borderline_and_half_worst():
    scores = np.arange(10, dtype=np.float32)
    assert choose_rejected(scores, scores >= 8, 4).tolist() == [7, 6, 1, 0]


def test_an_odd_number_of_rejected_favours_the_borderline():
    scores = np.arange(10, dtype=np.float32)
    assert choose_rejected(scores, scores >= 8, 3).tolist() == [7, 6, 0]


def test_one_of_each_kind():
    assert choose_kept(SCORES, SCORES >= 0.5, 1).tolist() == [1]
    assert choose_rejected(SCORES, SCORES >= 0.5, 1).tolist() == [7]


def test_equal_scores_are_chosen_in_their_order():
    scores = np.ones(4, dtype=np.float32)
    assert choose_kept(scores, scores >= 1, 4).tolist() == [0, 1, 2, 3]


@given(
    st.lists(st.floats(0, 1, width=32), max_size=30),
    st.floats(0, 1, width=32),
    st.integers(1, 12),
)
def test_both_choose_distinct_candidates_of_their_side(scores, threshold, num):
    scores = np.array(scores, dtype=np.float32)
    for choose, side in (
        (choose_kept, scores >= threshold),
        (choose_rejected, scores < threshold),
    ):
        chosen = choose(scores, scores >= threshold, num)
        assert len(set(chosen.tolist())) == len(chosen) == min(num, side.sum())
        assert side[chosen].all()
        assert (np.diff(scores[chosen]) <= 0).all()
