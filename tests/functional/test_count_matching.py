"""Tests of count matching, against every threshold tried in turn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mmdistill.functional.count_matching import (
    Match,
    counting_curve,
    limit_threshold,
    match_count,
    match_groups,
    split_groups,
)

TIED = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.875, 1.0])
ANY = st.floats(0, 1, width=32)
SCORES = st.one_of(
    arrays.arrays(np.float32, st.integers(0, 30), elements=TIED),
    arrays.arrays(np.float32, st.integers(0, 30), elements=ANY),
    arrays.arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1)),
)
TARGETS = st.one_of(st.integers(0, 40), st.floats(0, 40), st.just(2.5))


def nearest_count(scores, target):
    """How many the nearest threshold of all keeps; of two, the fewer."""
    counts = {0, *(int((scores >= score).sum()) for score in scores)}
    return min(counts, key=lambda count: (abs(count - target), count))


@given(SCORES, TARGETS)
def test_no_threshold_is_nearer(scores, target):
    assert match_count(scores, target).kept == nearest_count(scores, target)


@given(SCORES, TARGETS)
def test_the_threshold_keeps_exactly_what_it_says(scores, target):
    match = match_count(scores, target)
    assert int((scores >= match.threshold).sum()) == match.kept


@given(SCORES, TARGETS)
def test_the_threshold_is_one_of_the_scores_or_infinite(scores, target):
    match = match_count(scores, target)
    assert match.threshold in {np.inf, *scores.tolist()}


@given(SCORES, TARGETS)
def test_the_order_of_scores_does_not_matter(scores, target):
    assert match_count(scores[::-1], target) == match_count(scores, target)


def test_scores_are_not_written_to():
    scores = np.array([0.3, 0.9, 0.1], np.float32)
    match_count(scores, 2)
    assert scores.tolist() == np.array([0.3, 0.9, 0.1], np.float32).tolist()


def test_candidates_of_equal_score_stay_together():
    assert match_count(np.full(10, 0.5), 6) == Match(0.5, 10)


def test_all_are_dropped_when_that_is_nearer_than_keeping_the_ties():
    assert match_count(np.full(10, 0.5), 4) == Match(np.inf, 0)


def test_of_two_equally_near_thresholds_the_higher_wins():
    assert match_count(np.array([0.9, 0.5, 0.5]), 2) == Match(0.9, 1)


def test_too_few_candidates_are_all_kept():
    assert match_count(np.array([0.4, 0.7]), 100) == Match(0.4, 2)


def test_a_target_of_nothing_keeps_nothing():
    assert match_count(np.array([0.4, 0.7]), 0) == Match(np.inf, 0)


def test_no_candidates_match_any_target():
    assert match_count(np.zeros(0), 5) == Match(np.inf, 0)


def test_float32_neighbors_are_distinguished():
    low = np.float32(0.7)
    scores = np.array([low, np.nextafter(low, np.float32(1))], np.float32)
    match = match_count(scores, 1)
    assert (scores >= match.threshold).tolist() == [False, True]


@pytest.mark.parametrize('target', [-1, float('nan')])
def test_a_target_below_nothing_is_refused(target):
    with pytest.raises(ValueError, match='at least 0'):
        match_count(np.ones(3), target)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match='got 2 NaN'):
        match_count(np.array([1, np.nan, np.nan]), 1)


@given(SCORES, st.integers(1, 9))
def test_the_counting_curve_is_counted_by_a_loop(scores, num_images):
    thresholds, means = counting_curve(scores, num_images, points=11)
    for threshold, mean in zip(thresholds, means, strict=True):
        kept = (scores >= threshold.astype(scores.dtype)).sum()
        assert mean == kept / num_images


def test_the_counting_curve_spans_the_scores():
    thresholds, means = counting_curve(np.array([0.2, 0.4, 0.6]), 2, points=5)
    np.testing.assert_allclose(thresholds, [0.2, 0.3, 0.4, 0.5, 0.6])
    np.testing.assert_allclose(means, [1.5, 1.0, 1.0, 0.5, 0.5])


def test_a_curve_without_images_is_refused():
    with pytest.raises(ValueError, match='at least one image'):
        counting_curve(np.ones(3), 0)


@given(SCORES, st.data())
def test_groups_are_matched_by_themselves(scores, data):
    groups = data.draw(arrays.arrays(np.int32, len(scores), elements=st.integers(0, 3)))
    targets = data.draw(st.lists(TARGETS, min_size=4, max_size=4))
    found = match_groups(scores, groups, targets)
    for group, target in enumerate(targets):
        assert found[group] == match_count(scores[groups == group], target)


@given(st.lists(st.integers(0, 4), max_size=30), st.sampled_from([5, 2**16 + 1]))
def test_groups_keep_the_order_of_their_candidates(drawn, num_groups):
    groups = np.array(drawn, dtype=np.int32)
    parts = split_groups(groups, num_groups)
    assert len(parts) == num_groups
    for group in range(5):
        assert parts[group].tolist() == np.flatnonzero(groups == group).tolist()


def test_one_group_is_not_copied():
    scores = np.ones(3)
    (rows,) = split_groups(np.zeros(3, np.int32), 1)
    assert np.shares_memory(scores[rows], scores)


@pytest.mark.parametrize(
    ('threshold', 'floor', 'cap', 'limited'),
    [
        (0.5, None, None, 0.5),
        (0.5, 0.6, None, 0.6),
        (0.5, 0.4, 0.6, 0.5),
        (0.5, None, 0.3, 0.3),
        (np.inf, 0.1, 0.3, np.inf),
    ],
)
def test_a_threshold_stays_between_floor_and_cap(threshold, floor, cap, limited):
    assert limit_threshold(threshold, floor, cap) == limited
