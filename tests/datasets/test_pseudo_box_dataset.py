"""Kept boxes of a detection store as images of MMDetection."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.registry import DefaultScope

from mmdistill.config.selection_options import SelectionOptions
from mmdistill.datasets import PseudoBoxDataset, PseudoLabelDataset
from mmdistill.errors import UserError
from mmdistill.selection.counts import LabeledCounts
from mmdistill.selection.threshold_matching import select
from tests.helpers.box_stores import write_box_store

LABELED = LabeledCounts(4, 4, 4, 'labeled', categories=((3, 2), (7, 2)))
METAINFO = dict(classes=('square', 'bar'), palette=[(1, 2, 3), (4, 5, 6)])
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(32, 32), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


@pytest.fixture
def store(tmp_path):
    """A store with images, some of them without a box that is kept."""
    store = write_box_store(tmp_path / 'boxes', images=True)
    select(store, LABELED, SelectionOptions()).write(store)
    return store


def dataset(store, **options) -> PseudoBoxDataset:
    options = dict(metainfo=copy.deepcopy(METAINFO), pipeline=PIPELINE) | options
    return PseudoBoxDataset(str(store.root), **options)


def test_a_sample_is_an_image_with_all_its_kept_boxes(store):
    pseudo = dataset(store)

    held = store.read()
    kept = pseudo.selection.kept(held.candidates)
    images = np.unique(held.image_index[kept]).tolist()
    assert len(pseudo) == len(images) < len(held.sizes)
    assert pseudo.num_labels == kept.sum() == 6
    for number, image in enumerate(images):
        info = pseudo.get_data_info(number)
        own = np.flatnonzero(kept & (held.image_index == image))
        instances = info['instances']
        assert info['img_path'] == str(store.root.parent / f'{image}.png')
        assert (info['height'], info['width']) == (64, 64)
        assert [i['bbox'] for i in instances] == held.candidates.bboxes[own].tolist()
        # The first class is that of id 7.
        ids = held.candidates.category_ids[own].tolist()
        assert [[7, 3][i['bbox_label']] for i in instances] == ids
        assert {i['ignore_flag'] for i in instances} == {0}


def test_images_whose_boxes_were_all_rejected_are_not_empty_ones(store):
    pseudo = dataset(store)

    assert all(pseudo.get_data_info(n)['instances'] for n in range(len(pseudo)))


def test_a_sample_is_packed_and_tagged(store):
    sample = dataset(store)[0]['data_samples']

    assert sample.get('pseudo') is True
    assert len(sample.gt_instances.bboxes) == len(sample.gt_instances.labels) > 0
    assert len(sample.ignored_instances.bboxes) == 0


def test_rejected_boxes_are_flagged_where_asked_for(store):
    plain, flagged = dataset(store), dataset(store, ignore_rejected=True)

    assert len(flagged) == len(plain)
    assert flagged.num_labels == plain.num_labels
    counts = []
    for number in range(len(flagged)):
        instances = flagged.get_data_info(number)['instances']
        ignored = [each for each in instances if each['ignore_flag']]
        counts.append(len(ignored))
        assert (
            instances[: -len(ignored) or None]
            == plain.get_data_info(number)['instances']
        )
        sample = flagged[number]['data_samples']
        assert len(sample.ignored_instances.bboxes) == len(ignored)
    assert sum(counts) > 0


def test_its_metainfo_is_that_of_the_labeled_set(store, tmp_path):
    (tmp_path / 'a.json').write_text(
        '{"images": [], "annotations": [], "categories": []}'
    )
    labeled = CocoDataset(
        ann_file=str(tmp_path / 'a.json'), metainfo=METAINFO, lazy_init=True
    )

    assert dataset(store).metainfo == labeled.metainfo


def test_a_score_of_its_own_keeps_others(store):
    assert dataset(store, score_thr=0.0).num_labels == 25


def test_a_score_that_keeps_nothing_is_told_with_the_best_one(store):
    best = store.read().candidates.instance_scores.max()

    with pytest.raises(UserError, match=f'states score_thr=1.1: .*{best:.4g}'):
        dataset(store, score_thr=1.1)


@pytest.mark.parametrize('classes', [('square', 'ring'), ('square', 'bar', 'ring'), ()])
def test_classes_that_the_store_does_not_have_are_refused(store, classes):
    with pytest.raises(UserError, match='has boxes of square, bar, and the data set'):
        dataset(store, metainfo=dict(classes=classes))


def test_a_single_class_of_both_may_have_two_names(tmp_path):
    store = write_box_store(tmp_path / 'one', images=True, categories=dict(person=7))
    options = SelectionOptions(categories='each')
    labeled = LabeledCounts(4, 4, 4, 'labeled', categories=((7, 4),))
    select(store, labeled, options).write(store)

    pseudo = dataset(store, metainfo=dict(classes=('human',)))

    labels = [
        i['bbox_label']
        for n in range(len(pseudo))
        for i in pseudo.get_data_info(n)['instances']
    ]
    assert set(labels) == {0}


def test_kept_boxes_of_a_category_that_is_not_trained_are_refused(tmp_path):
    store = write_box_store(tmp_path / 'one', categories=dict(person=7))
    select(store, LABELED, SelectionOptions()).write(store)

    with pytest.raises(UserError, match=r"the categories \[3\], .* categories='each'"):
        dataset(store, metainfo=dict(classes=('person',)))


def test_a_store_of_poses_is_refused(make_store, make_rows, tmp_path):
    store = make_store(tmp_path / 'poses', make_rows([1, 2]))

    with pytest.raises(UserError, match='holds poses, and a detector is trained on'):
        dataset(store)


def test_boxes_are_refused_as_poses(store, coco_metainfo):
    with pytest.raises(UserError, match='is a detection store, whose boxes have no'):
        PseudoLabelDataset(str(store.root), coco_metainfo)


def test_a_store_without_a_selection_is_refused(tmp_path):
    with pytest.raises(UserError, match='select_labels'):
        dataset(write_box_store(tmp_path / 'boxes'))


def test_an_image_that_is_gone_is_named(store):
    pseudo = dataset(store)
    path = store.root.parent / pseudo.labels.paths[0].as_py()
    path.unlink()

    with pytest.raises(UserError, match=f'{path}, which is labeled .* does not exist'):
        pseudo[0]
