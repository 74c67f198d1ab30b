"""From counts to a selection."""

from __future__ import annotations

import numpy as np
import pytest

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.threshold_matching import select

# Per image: 12 candidates on 6 images, of which 1 could not be read.
COUNTS = (4, 0, None, 3, 0, 5)
LABELED = LabeledCounts(images=10, annotated_images=4, instances=8, fingerprint='f')


@pytest.fixture
def store(tmp_path, make_rows, make_store):
    """12 candidates of different scores on 5 images that were read."""
    return make_store(tmp_path / 'store', make_rows(COUNTS))


def choose(store, labeled=LABELED, **options):
    """Select with some options."""
    return select(store, labeled, SelectionOptions(**options))


@pytest.mark.parametrize(('over', 'target'), [('all', 8 / 10), ('annotated', 8 / 4)])
def test_means_are_equal_to_half_an_instance(store, over, target):
    selection = choose(store, LABELED, labeled_images=over)
    assert abs(selection.unlabeled.kept - target * 5) <= 0.5


@pytest.mark.parametrize('instances', range(2, 27, 3))
def test_the_best_threshold_is_found(store, instances):
    labeled = LabeledCounts(10, 10, instances, 'f')
    scores = store.read().candidates.instance_scores
    target = instances / 10 * 5
    distances = [abs((scores >= s).sum() - target) for s in scores]
    selection = choose(store, labeled)
    assert abs(selection.unlabeled.kept - target) == min(distances)


def test_the_counts_are_those_of_the_threshold(store):
    selection = choose(store)
    kept = selection.kept(store.read().candidates)
    assert selection.unlabeled.kept == kept.sum()
    assert selection.unlabeled.candidates == len(kept) == 12


def test_images_that_failed_do_not_count(store):
    unlabeled = choose(store).unlabeled
    assert (unlabeled.images, unlabeled.failed) == (5, 1)


def test_too_few_candidates_are_all_kept(store):
    plenty = LabeledCounts(1, 1, 50, 'f')
    assert choose(store, plenty).unlabeled.kept == 12


def test_a_score_is_taken_as_it_is(store):
    scores = store.read().candidates.instance_scores
    selection = choose(store, score_thr=0.5)
    assert selection.score_thrs == [0.5]
    assert selection.unlabeled.kept == (scores >= 0.5).sum()


def test_the_curve_is_what_each_threshold_keeps(store):
    selection = choose(store)
    scores = store.read().candidates.instance_scores
    for threshold, mean in zip(
        selection.curve_thresholds, selection.curve_means, strict=True
    ):
        assert mean == (scores >= np.float32(threshold)).sum() / 5


def test_a_score_that_keeps_nothing_is_refused(store):
    with pytest.raises(UserError, match=r'12 candidates on 5 images, threshold 2\.0'):
        choose(store, score_thr=2)


def test_a_count_that_keeps_nothing_is_refused(store):
    few = LabeledCounts(images=1000, annotated_images=1, instances=1, fingerprint='f')
    with pytest.raises(UserError, match='nothing of the label store'):
        choose(store, few)


def test_a_store_without_candidates_is_refused(tmp_path, make_rows, make_store):
    empty = make_store(tmp_path / 'empty', make_rows((0, 0)))
    with pytest.raises(UserError, match='0 candidates on 2 images'):
        choose(empty, LABELED)


@pytest.mark.parametrize('score_thr', [None, 0.5])
def test_a_store_of_failed_images_is_refused(
    tmp_path, make_rows, make_store, score_thr
):
    broken = make_store(tmp_path / 'broken', make_rows((None, None)))
    with pytest.raises(UserError, match=r'none of the 2 .*because: no such file'):
        choose(broken, score_thr=score_thr)


def test_candidates_without_a_visible_keypoint_are_neither_counted_nor_kept(store):
    candidates = store.read().candidates
    keypoint_thr = float(np.median(candidates.keypoint_scores.max(axis=1)))
    visible = (candidates.keypoint_scores > keypoint_thr).any(axis=1)

    selection = choose(store, keypoint_thr=keypoint_thr, score_thr=0.0)

    assert 0 < visible.sum() < len(candidates)
    assert selection.unlabeled.kept == visible.sum()
    assert selection.kept(candidates).tolist() == visible.tolist()
