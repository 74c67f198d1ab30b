"""Detection stores, whose candidates are boxes: counts, labels, exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.errors import UserError
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.export import ExportOptions, Surroundings, export_coco
from mmdistill.selection.ignored_boxes import read_ignored_boxes
from mmdistill.selection.selection import read_selection
from mmdistill.selection.summary import scalars, selection_table, summarize, warnings
from mmdistill.selection.threshold_matching import select
from mmdistill.selection.training_labels import read_training_labels
from mmdistill.store import LabelStore
from tests.helpers.box_stores import IMAGES, write_box_store

LABELED = LabeledCounts(4, 4, 8, 'labeled', categories=((3, 4), (7, 4)))
"""One box of each of two categories on each image."""


@pytest.fixture
def make_boxes(tmp_path):
    """Write a store of boxes on six images, of several views by default."""

    def make(name='boxes', **options):
        return write_box_store(tmp_path / name, **options)

    return make


def selected(store: LabelStore, **options):
    selection = select(store, LABELED, SelectionOptions(**options))
    selection.write(store)
    return selection


def test_each_category_keeps_as_many_boxes_as_a_labeled_image_has(make_boxes):
    store = make_boxes()

    selection = selected(store)

    held = store.read().candidates
    kept = selection.kept(held)
    for category in (3, 7):
        assert kept[held.category_ids == category].sum() == IMAGES
    assert [t.category_id for t in selection.thresholds] == [3, 7]
    assert selection.unlabeled.kept == 2 * IMAGES
    lowest = [
        held.instance_scores[kept & (held.category_ids == c)].min() for c in (3, 7)
    ]
    assert selection.score_thrs == pytest.approx(sorted(lowest))


def test_a_class_without_a_labeled_box_keeps_nothing_and_is_named(make_boxes):
    store = make_boxes()
    squares = LabeledCounts(4, 4, 4, 'labeled', categories=((7, 4),))

    selection = select(store, squares, SelectionOptions(categories='each'))

    held = store.read().candidates
    assert set(held.category_ids[selection.kept(held)].tolist()) == {7}
    assert warnings(selection) == [
        'nothing is kept of categories that the labeled set does not have: 3; '
        "categories='together' counts all alike"
    ]


def test_a_box_counts_as_one_and_has_no_keypoints(make_boxes):
    selection = selected(make_boxes())

    assert selection.of_boxes
    assert selection.unlabeled.kept_keypoints == 0
    assert selection.unlabeled.dropped_keypoints == 0
    assert all(part.dropped_keypoints == 0 for part in selection.parts)
    assert 'eypoint' not in summarize(selection)
    assert 'keypoints' not in selection_table(selection)
    assert selection_table(selection).splitlines()[-1].split()[4:6] == ['12', '13']
    assert not any('keypoint' in name for name in scalars(selection))


def test_a_selection_of_boxes_is_read_back(make_boxes):
    store = make_boxes()

    selection = selected(store)

    assert read_selection(store) == selection


def test_labels_are_the_kept_boxes_image_by_image(make_boxes):
    store = make_boxes()
    selection = selected(store)

    labels = read_training_labels(store, selection)

    held = store.read()
    kept = selection.kept(held.candidates)
    assert np.array_equal(labels.bboxes, held.candidates.bboxes[kept])
    assert np.array_equal(labels.image_index, held.image_index[kept])
    assert np.array_equal(labels.category_ids, held.candidates.category_ids[kept])
    assert labels.paths.to_pylist() == [
        f'{n}.png' for n in np.unique(held.image_index[kept])
    ]
    assert labels.sizes.tolist() == [[64, 64]] * len(labels.paths)
    assert labels.num_seen == labels.num_candidates == 25


@pytest.mark.parametrize('criterion', ['agreement', 'both'])
def test_boxes_are_selected_by_the_agreement_of_the_views(make_boxes, criterion):
    store = make_boxes()

    selection = selected(store, criterion=criterion, categories='together')

    held = store.read().candidates
    kept = selection.kept(held)
    values = held.bbox_agreement
    if criterion == 'both':
        ranks = [each.argsort().argsort() for each in (values, held.instance_scores)]
        values = np.prod([rank + 1 for rank in ranks], axis=0)
    assert kept.sum() == 2 * IMAGES
    assert values[kept].min() > values[~kept].max()
    assert len(read_training_labels(store, selection)) == 2 * IMAGES


def test_agreement_that_was_not_recorded_is_refused(make_boxes):
    with pytest.raises(
        UserError, match='agreement of views, which the detection store'
    ):
        selected(make_boxes(views=False), criterion='agreement')


def test_a_store_of_one_prediction_has_no_column_of_agreement(make_boxes):
    alone, several = make_boxes('one', views=False), make_boxes('more')

    assert 'bbox_agreement' not in next(alone.scan()).column_names
    assert 'bbox_agreement' in next(several.scan()).column_names
    assert not alone.read().candidates.bbox_agreement.any()
    assert selected(alone).unlabeled == selected(several).unlabeled


@pytest.mark.parametrize('keypoint_thr', ['count', 'count_per_type', 0.5])
def test_a_keypoint_threshold_is_refused(make_boxes, keypoint_thr):
    with pytest.raises(UserError, match='boxes, which have no keypoints: leave'):
        selected(make_boxes(), keypoint_thr=keypoint_thr)


def test_a_threshold_by_hand_that_keeps_nothing_is_told_with_another(make_boxes):
    with pytest.raises(UserError, match=r'select_labels\.py --score-thr 0\.\d+$'):
        selected(make_boxes(), score_thr=1.5)


def test_a_store_without_a_box_names_the_floor(make_boxes):
    store = make_boxes(counts=(0, 0), score_thr=0.05)

    with pytest.raises(UserError, match=r'0 boxes on 2 images.* detector \(0\.05\)'):
        selected(store)


def test_the_export_has_boxes_and_no_keypoints(make_boxes, tmp_path):
    store = make_boxes()
    selection = selected(store)
    path = tmp_path / 'out.json'
    named = [dict(id=7, name='square'), dict(id=3, name='bar')]

    export_coco(
        *(store, selection, path, 'object', ()),
        *(ExportOptions(rejected=True), Surroundings(categories=named)),
    )

    content = json.loads(path.read_text())
    rejected = json.loads(Path(tmp_path / 'out.rejected.json').read_text())
    held = store.read().candidates
    kept = held[np.flatnonzero(selection.kept(held))]
    annotations = content['annotations']
    assert [each['name'] for each in content['categories']] == ['bar', 'square']
    assert not any('keypoints' in each for each in content['categories'])
    assert len(content['images']) == IMAGES
    assert len(rejected['annotations']) == 25 - 2 * IMAGES
    corners = np.array([each['bbox'] for each in annotations])
    corners[:, 2:] += corners[:, :2]
    assert corners == pytest.approx(kept.bboxes, abs=1e-4)
    assert {key for key in annotations[0] if 'keypoint' in key} == set()
    box = annotations[0]['bbox']
    assert annotations[0]['area'] == pytest.approx(box[2] * box[3], abs=1e-3)
    assert [each['bbox_agreement'] for each in annotations] == pytest.approx(
        kept.bbox_agreement
    )


def test_the_images_whose_views_disagree_most_are_exported_first(make_boxes, tmp_path):
    store = make_boxes()
    selection = selected(store)
    path = tmp_path / 'out.json'

    export_coco(
        *(store, selection, path, 'object', ()), ExportOptions(most_disagreed=2)
    )

    held = store.read()
    kept = selection.kept(held.candidates)
    worst = {
        image: held.candidates.bbox_agreement[kept & (held.image_index == image)].min()
        for image in np.unique(held.image_index[kept])
    }
    names = [each['file_name'] for each in json.loads(path.read_text())['images']]
    assert names == [f'{n}.png' for n in sorted(worst, key=worst.get)[:2]]


def test_the_ignored_boxes_are_the_next_best_of_each_category(make_boxes):
    store = make_boxes()
    selection = selected(store)
    labels = read_training_labels(store, selection)

    ignored = read_ignored_boxes(store, selection, labels)

    held = store.read()
    kept, expected = selection.kept(held.candidates), []
    for category in (3, 7):
        own = np.flatnonzero(~kept & (held.candidates.category_ids == category))
        expected += sorted(own, key=lambda n: -held.candidates.instance_scores[n])[:6]
    paths = labels.paths.to_pylist()
    rows = [
        n
        for n in sorted(expected)
        if f'{held.image_index[n]}.png' in paths
        and not any(
            overlap(held.candidates.bboxes[n], held.candidates.bboxes[k]) >= 0.5
            for k in np.flatnonzero(kept & (held.image_index == held.image_index[n]))
        )
    ]
    assert len(ignored) == len(rows) > 3
    assert np.array_equal(ignored.bboxes, held.candidates.bboxes[rows])
    assert np.array_equal(ignored.category_ids, held.candidates.category_ids[rows])
    assert [paths[i] for i in ignored.path_index] == [
        f'{held.image_index[n]}.png' for n in rows
    ]


def overlap(a, b) -> float:
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [(box[2:] - box[:2]).prod() for box in (a, b)]
    return sides.prod() / (sum(areas) - sides.prod())


def test_a_box_at_the_border_keeps_its_edge(make_boxes, tmp_path):
    store = make_boxes()
    selection = selected(store, score_thr=0.0)

    labels = read_training_labels(store, selection)

    assert np.array_equal(labels.bboxes, store.read().candidates.bboxes)
