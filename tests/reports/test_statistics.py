from dataclasses import replace

import numpy as np
import pytest

from mmdistill.reports.statistics import STEP, collect, visible_by
from mmdistill.selection.scores import read_scores
from mmdistill.selection.threshold_groups import Threshold
from mmdistill.store.schema import empty_candidates

COUNTS = [2, 0, None, 5, 1, 3, None, 4]
KEYPOINT_THR = 0.6


@pytest.fixture
def rows(make_rows):
    return make_rows(COUNTS)


@pytest.fixture
def store(make_store, rows, tmp_path):
    return make_store(tmp_path / 'labels', rows)


def flat(rows, name):
    return np.concatenate([getattr(row.candidates, name) for row in rows])


def test_candidates_come_in_the_store_s_order(store, rows, make_selection):
    data = collect(store, make_selection(0.5, KEYPOINT_THR))
    assert data.scores.tolist() == flat(rows, 'instance_scores').tolist()
    np.testing.assert_array_equal(
        data.visible, (flat(rows, 'keypoint_scores') > KEYPOINT_THR).sum(axis=1)
    )


def test_agreement_is_the_mean_over_visible_keypoints(store, rows, make_selection):
    data = collect(store, make_selection(0.5, KEYPOINT_THR))
    for row, (scores, agreement) in enumerate(
        zip(
            flat(rows, 'keypoint_scores'), flat(rows, 'keypoint_agreement'), strict=True
        )
    ):
        seen = [float(a) for s, a in zip(scores, agreement, strict=True) if s > 0.6]
        assert data.agreement[row] == pytest.approx(np.mean(seen) if seen else 0)


@pytest.mark.parametrize('chunk_size', [1, 3, 100])
def test_the_size_of_chunks_does_not_matter(
    chunk_size, rows, store, make_store, make_selection, tmp_path
):
    selection = make_selection(0.5, KEYPOINT_THR)
    other = make_store(tmp_path / 'other', rows, chunk_size)
    a, b = collect(store, selection), collect(other, selection)
    for name in ('scores', 'agreement', 'visible', 'kept', 'labels_per_image'):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.keypoints.visible, b.keypoints.visible)
    np.testing.assert_array_equal(a.image_starts, b.image_starts)
    assert len(b.image_starts) == len(COUNTS) + 1


def test_images_that_lost_all_candidates_are_counted(store, rows, make_selection):
    high = sorted(
        row.candidates.instance_scores.max() for row in rows if len(row.candidates)
    )
    data = collect(store, make_selection(float(high[2]), 0.0))
    assert data.emptied == 2
    assert (data.labels_per_image == 0).sum() == 2 + COUNTS.count(0)


def test_failed_images_are_in_no_count_but_their_own(store, make_selection):
    data = collect(store, make_selection(0.5))
    assert data.num_images == 8
    assert len(data.labels_per_image) == len(data.candidates_per_image) == 6
    assert data.failures == {'no such file': 2}
    assert data.failed_example == {'no such file': '002.png'}


def test_without_a_selection_what_has_a_visible_keypoint_counts(store, rows):
    data = collect(store, None)
    visible = (flat(rows, 'keypoint_scores') > 0.2).any(axis=1)
    np.testing.assert_array_equal(data.kept, visible)
    assert data.num_kept == visible.sum()


def test_a_store_without_candidates_has_numbers(make_store, make_rows, tmp_path):
    data = collect(make_store(tmp_path / 'bare', make_rows([0, None])), None)
    assert len(empty_candidates(17)) == len(data.scores) == data.num_kept == 0
    assert data.labels_per_image.tolist() == [0]


def test_visible_is_what_the_selection_says(make_selection):
    scores = np.float32([[0.3, 0.375, 0.4] + [0] * 14])
    visible = visible_by(make_selection(0.5, 0.375))(scores)
    assert visible.tolist() == [[False, False, True] + [False] * 14]


def test_moved_thresholds_lose_and_win_what_a_loop_counts(
    make_rows, make_store, make_selection, tmp_path
):
    store = make_store(tmp_path / 'many', make_rows([40] * 5))
    data = collect(store, make_selection(0.5, KEYPOINT_THR))
    lost = won = 0
    for score, visible, kept in zip(data.scores, data.visible, data.kept, strict=True):
        lost += bool(kept and score < np.float32(0.5 + STEP))
        won += bool(visible and not kept and score >= np.float32(0.5 - STEP))
    assert (data.lost, data.won) == (lost, won)
    assert min(lost, won) > 0


def test_a_choice_among_all_candidates_is_the_selections(store, make_selection):
    selection = make_selection(0.3, KEYPOINT_THR)
    options = replace(selection.options, criterion='both')
    labels = store.read()
    by_both = replace(selection, options=options)

    data = collect(store, by_both)

    expected = by_both.kept(labels.candidates, labels.candidate_sources)
    np.testing.assert_array_equal(data.kept, expected)
    assert 0 < data.num_kept < len(expected)


@pytest.mark.parametrize('by', ['score', 'agreement', 'both'])
def test_margins_are_above_each_threshold_of_its_own(store, make_selection, by):
    thresholds = [Threshold(None, number, number / 4) for number in (1, 2)]
    selection = make_selection(0.5, KEYPOINT_THR)
    selection = replace(
        selection,
        options=replace(selection.options, criterion=by),
        thresholds=tuple(thresholds),
    )
    labels = store.read()
    categories = labels.candidates.category_ids
    scores = read_scores(store, KEYPOINT_THR, agreement=True).scores
    rows, groups, values = selection.compared(scores)

    data = collect(store, selection)

    expected = dict(zip(rows.tolist(), values - (groups + 1) / 4, strict=True))
    assert set(categories[rows]) == {1, 2}
    for number, margin in enumerate(data.margins):
        assert margin == pytest.approx(expected.get(number, -np.inf), abs=1e-6)
    np.testing.assert_array_equal(data.kept, (data.margins >= 0) & (data.visible > 0))
