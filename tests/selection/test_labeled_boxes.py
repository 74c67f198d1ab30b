"""Labeled sets of MMDetection, counted as its losses see them."""

from __future__ import annotations

import json

import pytest

from mmdistill.errors import UserError
from mmdistill.selection.counts import build_labeled, count_labeled, labeled_statistics

CLASSES = ('bar', 'square')
IDS = dict(bar=9, square=4)


@pytest.fixture
def write(tmp_path):
    """Write a json of boxes, a list of classes for each image; returns a config."""

    def write(*images, name='a.json', crowds=(), **options):
        annotations = [
            dict(image_id=number, category_id=IDS[kind], bbox=[4, 4, 20, 20], area=400)
            for number, kinds in enumerate(images)
            for kind in kinds
        ]
        for number, each in enumerate(annotations):
            each.update(id=number, iscrowd=int(number in crowds))
        listed = [
            dict(id=n, file_name=f'{n}.png', width=64, height=64)
            for n in range(len(images))
        ]
        categories = [dict(id=IDS[kind], name=kind) for kind in CLASSES]
        content = dict(images=listed, annotations=annotations, categories=categories)
        (tmp_path / name).write_text(json.dumps(content))
        return dict(
            type='CocoDataset',
            ann_file=str(tmp_path / name),
            data_prefix=dict(img=''),
            metainfo=dict(classes=CLASSES),
            filter_cfg=dict(filter_empty_gt=True),
            **options,
        )

    return write


def counted(config):
    return count_labeled(build_labeled({**config, '_scope_': 'mmdet'}))


def test_boxes_count_by_category_over_all_images(write):
    counts = counted(write(['bar', 'square', 'square'], [], ['square']))

    assert (counts.images, counts.annotated_images, counts.instances) == (3, 2, 4)
    assert counts.categories == ((4, 3), (9, 1))
    assert counts.keypoints == ()
    assert counts.mean('all', 4) == 1


def test_crowds_and_classes_that_are_not_trained_do_not_count(write):
    config = write(['bar', 'square'], ['square', 'square'], crowds=(2,))

    assert counted(config).instances == 3
    config['metainfo'] = dict(classes=('bar',))
    assert counted(config).categories == ((9, 1),)


def test_a_set_of_several_counts_each_as_often_as_it_is_seen(write):
    one, two = write(['bar'], ['bar']), write(['square'], name='b.json')

    repeated = dict(type='RepeatDataset', times=3, dataset=two)
    counts = counted(dict(type='ConcatDataset', datasets=[one, repeated]))

    assert (counts.images, counts.instances) == (5, 5)
    assert counts.categories == ((4, 3), (9, 2))


def test_another_box_is_another_set(write):
    before = counted(write(['bar'], ['bar'])).fingerprint

    assert counted(write(['bar'], ['bar'])).fingerprint == before
    assert counted(write(['bar'], ['square'])).fingerprint != before


def test_a_set_whose_boxes_are_all_crowds_is_refused(write):
    with pytest.raises(UserError, match='has no box that would be trained on'):
        counted(write(['bar'], crowds=(0,)))


def test_the_boxes_of_each_image_are_known_to_reports(write):
    dataset = build_labeled({**write(['bar', 'bar'], ['square']), '_scope_': 'mmdet'})

    statistics = labeled_statistics(dataset, num_images=3)

    assert sorted(statistics.per_image.tolist()) == [0, 1, 2]
    assert statistics.visible.shape == (3, 0)
