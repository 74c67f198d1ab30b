import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.reports.sampling import (
    choose_best,
    choose_borderline,
    choose_disagreeing,
    choose_kept,
    choose_rejected,
    choose_spread,
)

SCORES = np.array([0.3, 0.9, 0.1, 0.5, 0.7, 0.2, 0.6, 0.4], dtype=np.float32)


def test_kept_span_from_the_best_to_the_threshold():
    chosen = choose_kept(SCORES, np.float32(0.4) <= SCORES, 3)
    assert SCORES[chosen].tolist() == pytest.approx([0.9, 0.6, 0.4])


def test_rejected_are_half_borderline_and_half_worst():
    scores = np.arange(10, dtype=np.float32)
    assert choose_rejected(scores, scores >= 8, 4).tolist() == [7, 6, 1, 0]


def test_an_odd_number_of_rejected_favors_the_borderline():
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


def test_the_best_are_the_highest_scores_that_are_kept():
    kept = np.float32(0.9) > SCORES
    assert SCORES[choose_best(SCORES, kept, 3)].tolist() == pytest.approx(
        [0.7, 0.6, 0.5]
    )


def test_the_borderline_has_both_sides_of_the_threshold():
    kept = np.float32(0.5) <= SCORES
    chosen = choose_borderline(SCORES, kept, np.ones(8, bool), 4)
    assert SCORES[chosen].tolist() == pytest.approx([0.6, 0.5, 0.4, 0.3])


def test_what_no_threshold_would_keep_is_not_borderline():
    kept = np.float32(0.5) <= SCORES
    selectable = np.float32(0.4) != SCORES
    chosen = choose_borderline(SCORES, kept, selectable, 4)
    assert SCORES[chosen].tolist() == pytest.approx([0.6, 0.5, 0.3, 0.2])


def test_a_side_that_is_short_leaves_its_place_to_the_kept():
    kept = np.float32(0.2) <= SCORES
    chosen = choose_borderline(SCORES, kept, np.ones(8, bool), 4)
    assert SCORES[chosen].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_the_disagreeing_are_the_kept_of_least_agreement():
    agreement = np.array([0.9, 0.1, 0.5, 0.3], dtype=np.float32)
    kept = np.array([True, False, True, True])
    assert choose_disagreeing(agreement, kept, 2).tolist() == [3, 2]


def test_the_spread_goes_from_the_best_rejected_to_the_worst():
    kept = np.float32(0.6) <= SCORES
    chosen = choose_spread(SCORES, kept, 3)
    assert SCORES[chosen].tolist() == pytest.approx([0.5, 0.3, 0.1])
