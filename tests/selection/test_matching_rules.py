"""Selections by source, category, agreement and keypoint, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError
from mmdistill.selection.threshold_matching import select
from tests.helpers.matched_sources import COUNTS, LABELED, SOURCES


@pytest.fixture
def store(tmp_path, make_rows, make_store):
    """31 candidates of two sources and three categories."""
    rows = [
        replace(row, source=source)
        for row, source in zip(make_rows(COUNTS), SOURCES, strict=True)
    ]
    return make_store(tmp_path / 'store', rows)


def choose(store, labeled=LABELED, **options):
    """Select with some options; which candidates are kept, with all labels."""
    selection = select(store, labeled, SelectionOptions(**options))
    labels = store.read()
    return (
        selection,
        labels,
        selection.kept(labels.candidates, labels.candidate_sources),
    )


def nearest(values, target):
    """Which are kept by the best of all thresholds, the fewer of two."""
    masks = [values >= value for value in (*values, np.inf)]
    return min(masks, key=lambda mask: (abs(mask.sum() - target), mask.sum()))


def test_sources_are_matched_by_themselves(store):
    selection, labels, kept = choose(store, group_by='source', categories='together')
    sources = labels.candidate_sources
    of_candidates = np.array(sources.names)[sources.index]
    for source, images in (('a', 3), ('b', 3)):
        mine = of_candidates == source
        scores = labels.candidates.instance_scores[mine]
        assert np.array_equal(kept[mine], nearest(scores, 8 / 4 * images))
    assert [t.source for t in selection.thresholds] == ['a', 'b']
    assert len(selection.score_thrs) == 2


@pytest.mark.parametrize('over', ['all', 'annotated'])
def test_categories_are_matched_by_themselves(store, over):
    selection, labels, kept = choose(store, labeled_images=over)
    images = dict(all=4, annotated=3)[over]
    for category, instances in ((1, 5), (2, 3), (3, 0)):
        mine = labels.candidates.category_ids == category
        scores = labels.candidates.instance_scores[mine]
        assert mine.any()
        assert np.array_equal(kept[mine], nearest(scores, instances / images * 6))
    assert [t.category_id for t in selection.thresholds] == [1, 2, 3]


@pytest.mark.parametrize(
    ('categories', 'labeled'),
    [
        ('together', LABELED),
        ('auto', replace(LABELED, categories=((1, 8),))),
    ],
)
def test_categories_are_matched_together(store, categories, labeled):
    selection, labels, kept = choose(store, labeled, categories=categories)
    scores = labels.candidates.instance_scores
    assert np.array_equal(kept, nearest(scores, 8 / 4 * 6))
    assert [(t.source, t.category_id) for t in selection.thresholds] == [(None, None)]


def test_agreement_is_matched(store):
    _, labels, kept = choose(store, criterion='agreement', categories='together')
    found = labels.candidates
    seen = found.keypoint_scores > 0.2
    sums = np.where(seen, found.keypoint_agreement, 0).sum(axis=1)
    assert np.array_equal(kept, nearest(sums / seen.sum(axis=1), 12))


def test_both_are_matched_by_their_ranks(store):
    _, labels, kept = choose(store, criterion='both', categories='together')
    assert kept.sum() == 12
    found = labels.candidates
    seen = found.keypoint_scores > 0.2
    sums = np.where(seen, found.keypoint_agreement, 0).sum(axis=1) / seen.sum(axis=1)
    places = [np.argsort(np.argsort(v)) + 1 for v in (found.instance_scores, sums)]
    assert np.array_equal(kept, nearest(places[0] * places[1], 12))


def test_floor_and_cap_hold(store):
    (free,) = choose(store, categories='together')[0].score_thrs
    for options, limit in ((dict(min_thr=0.9), 0.9), (dict(max_thr=0.2), 0.2)):
        selection, labels, kept = choose(store, categories='together', **options)
        (threshold,) = selection.thresholds
        assert (threshold.score_thr, threshold.matched) == (limit, free)
        expected = labels.candidates.instance_scores >= np.float32(limit)
        assert np.array_equal(kept, expected)


def test_kept_instances_have_as_many_visible_keypoints_as_labeled_ones(store):
    selection, labels, kept = choose(store, keypoint_thr='count')
    visible = selection.visible(labels.candidates.keypoint_scores[kept])
    mean = sum(LABELED.keypoints) / 8
    assert abs(visible.sum() - mean * kept.sum()) <= 1
    assert len(set(selection.keypoint_thrs)) == 1
    assert selection.unlabeled.kept_keypoints == visible.sum()
    assert selection.unlabeled.dropped_keypoints == visible.size - visible.sum()


def test_each_keypoint_is_visible_as_often_as_on_labeled_instances(store):
    selection, labels, kept = choose(store, keypoint_thr='count_per_type')
    visible = selection.visible(labels.candidates.keypoint_scores[kept])
    shares = np.array(LABELED.keypoints) / 8
    assert np.abs(visible.sum(axis=0) - shares * kept.sum()).max() <= 0.5
    assert selection.keypoint_thrs[4] is None


def test_keypoints_of_another_set_are_not_matched(store):
    other = replace(LABELED, keypoints=(8,) * 14)
    with pytest.raises(
        UserError, match=r'the labeled set has 14, the label store .* 17'
    ):
        choose(store, other, keypoint_thr='count')
    assert choose(store, other, keypoint_thr=0.3)[2].any()


def test_parts_are_counted(store):
    selection, labels, kept = choose(store, group_by='source')
    sources = labels.candidate_sources
    visible = selection.visible(labels.candidates.keypoint_scores)
    for part in selection.parts:
        mine = np.array(sources.names)[sources.index] == part.source
        mine &= labels.candidates.category_ids == part.category_id
        both = mine & kept
        assert (part.candidates, part.kept) == (mine.sum(), both.sum())
        assert part.kept_keypoints == visible[both].sum()
        assert part.dropped_keypoints == (~visible[both]).sum()
        assert part.images == 3
    assert sum(part.candidates for part in selection.parts) == 31
    assert sum(part.kept for part in selection.parts) == selection.unlabeled.kept


def test_images_that_lost_all_their_candidates_are_counted(store):
    selection, labels, kept = choose(store, score_thr=0.9)
    left = {int(image) for image in labels.image_index[kept]}
    assert selection.unlabeled.emptied == 6 - len(left) > 0
