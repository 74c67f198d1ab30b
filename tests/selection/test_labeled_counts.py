"""The labeled set is counted as training sees it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mmpose.datasets import CocoDataset

from mmdistill.errors import UserError
from mmdistill.selection.counts import (
    build_labeled,
    count_labeled,
    labeled_statistics,
)
from tests.helpers.host_sets import write_set


def annotation(number, image_id, **changes):
    return {
        'id': number,
        'image_id': image_id,
        'category_id': 1,
        'bbox': [5, 5, 20, 30],
        'area': 300,
        'iscrowd': 0,
        'num_keypoints': 17,
        'keypoints': [10, 12, 2] * 17,
        **changes,
    }


CROWD = dict(iscrowd=1)
BARE = dict(num_keypoints=0, keypoints=[0] * 51)


@pytest.fixture
def build(tmp_path, coco_metainfo):
    """Build MMPose's data set of some annotations on some images."""

    def build(num_images, annotations, image_order=1, **settings):
        images = [
            dict(id=i, file_name=f'{i}.jpg', width=64, height=48)
            for i in range(1, num_images + 1)
        ]
        content = dict(
            images=images[::image_order],
            annotations=annotations,
            categories=[dict(id=1, name='person')],
        )
        (tmp_path / 'coco.json').write_text(json.dumps(content))
        return build_labeled(
            dict(
                type='mmpose.CocoDataset',
                ann_file=str(tmp_path / 'coco.json'),
                metainfo=coco_metainfo,
                **settings,
            )
        )

    return build


def spread(instances, annotated):
    """As many instances over as many images, as even as it goes."""
    return [annotation(100 + i, 1 + i % annotated) for i in range(instances)]


@pytest.mark.parametrize(
    ('instances', 'annotated', 'images'), [(86, 28, 80), (5, 5, 5), (1, 1, 9)]
)
def test_instances_and_both_denominators(build, instances, annotated, images):
    counts = count_labeled(build(images, spread(instances, annotated)))
    found = (counts.instances, counts.annotated_images, counts.images)
    assert found == (instances, annotated, images)


def test_crowds_and_bare_instances_do_not_count(build):
    extra = [annotation(1, 3, **CROWD), annotation(2, 4, **BARE)]
    dataset = build(6, [*spread(4, 2), *extra])
    counts = count_labeled(dataset)
    assert counts.instances == len(dataset) == 4
    assert counts.annotated_images == 2
    assert counts.images == 6


def test_random_sets_agree_with_a_slow_count(build):
    rng = np.random.default_rng(5)
    for _ in range(5):
        kinds = rng.integers(0, 3, 30)
        where = rng.integers(1, 13, 30)
        annotations = [
            annotation(i, int(image), **({}, CROWD, BARE)[kind])
            for i, (image, kind) in enumerate(zip(where, kinds, strict=True))
        ]
        counts = count_labeled(build(12, annotations))
        assert counts.instances == sum(kind == 0 for kind in kinds)
        assert counts.annotated_images == len(
            {image for image, kind in zip(where, kinds, strict=True) if kind == 0}
        )


@pytest.mark.parametrize('data_mode', ['topdown', 'bottomup'])
@pytest.mark.parametrize('annotations', [[], [annotation(1, 1, **CROWD)]])
def test_a_set_without_instances_is_refused(build, annotations, data_mode):
    with pytest.raises(UserError, match=r'coco\.json has no instance'):
        count_labeled(build(3, annotations, data_mode=data_mode))


def test_whole_images_are_counted_as_their_instances_are(build):
    """So that a selection fits students of either kind."""
    flat = annotation(201, 3, bbox=[5, 5, 0, 30])
    away = annotation(202, 4, keypoints=[-3, -2, 2] * 17)
    extra = [annotation(1, 2, **CROWD), annotation(2, 1, **BARE), flat, away]
    one = annotation(203, 2, category_id=7, keypoints=[4, 4, 1, *[0, 0, 0] * 16])
    annotations = [*spread(9, 4), *extra, one]

    of_instances = build(6, annotations)
    of_images = build(6, annotations, data_mode='bottomup')

    assert len(of_instances) == 10
    assert len(of_images) == 4
    assert count_labeled(of_images) == count_labeled(of_instances)
    found, expected = (
        labeled_statistics(dataset, 6) for dataset in (of_images, of_instances)
    )
    assert found.per_image.tolist() == expected.per_image.tolist()
    assert np.array_equal(found.visible, expected.visible)


def test_members_of_whole_images_with_other_keypoints_are_counted(tmp_path):
    convert = dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 6), (1, 8)])
    metainfo = dict(from_file='configs/_base_/datasets/coco.py')
    counts = []
    for mode in ('topdown', 'bottomup'):
        parts = [
            dict(
                write_set(kind, tmp_path / mode / kind), data_mode=mode, pipeline=steps
            )
            for kind, steps in (('CocoDataset', []), ('AicDataset', [convert]))
        ]
        counts.append(
            count_labeled(
                build_labeled(
                    dict(
                        type='mmpose.CombinedDataset',
                        metainfo=metainfo,
                        datasets=parts,
                        pipeline=[],
                    )
                )
            )
        )
    assert counts[0] == counts[1]
    assert counts[0].instances == 6


def test_the_fingerprint_changes_with_an_instance(build):
    annotations = spread(9, 4)
    whole = count_labeled(build(5, annotations)).fingerprint
    assert count_labeled(build(5, annotations[:-1])).fingerprint != whole


def test_the_fingerprint_changes_when_an_instance_turns_to_a_crowd(build):
    annotations = spread(9, 4)
    whole = count_labeled(build(5, annotations)).fingerprint
    annotations[3]['iscrowd'] = 1
    assert count_labeled(build(5, annotations)).fingerprint != whole


def test_the_fingerprint_does_not_depend_on_the_order_in_the_file(build):
    annotations = spread(9, 4)
    first = count_labeled(build(5, annotations)).fingerprint
    second = count_labeled(build(5, annotations[::-1], image_order=-1)).fingerprint
    assert first == second


def test_categories_and_visible_keypoints_are_counted(build):
    annotations = spread(5, 2)
    annotations[1]['category_id'] = annotations[2]['category_id'] = 7
    annotations[3]['keypoints'] = [10, 12, 1, *(0, 0, 0), *[9, 9, 2] * 15]
    counts = count_labeled(build(3, annotations))
    assert counts.categories == ((1, 3), (7, 2))
    assert counts.keypoints == (5, 4, *[5] * 15)


def test_the_fingerprint_changes_with_what_an_instance_is(build):
    whole = count_labeled(build(5, spread(9, 4))).fingerprint
    for change in (dict(category_id=2), dict(keypoints=[0, 0, 0, *[9, 9, 2] * 16])):
        annotations = spread(9, 4)
        annotations[3].update(change)
        assert count_labeled(build(5, annotations)).fingerprint != whole


def test_annotations_that_are_no_json_are_refused(tmp_path, coco_metainfo):
    path = tmp_path / 'cut.json'
    path.write_text('{"images": [')

    with pytest.raises(UserError, match=r'cut\.json are not valid JSON: Expecting'):
        build_labeled(
            dict(type='mmpose.CocoDataset', ann_file=str(path), metainfo=coco_metainfo)
        )


def test_annotations_of_another_class_are_refused_by_name(tmp_path):
    dataset = write_set('CocoDataset', tmp_path)
    content = json.loads((tmp_path / 'annotations.json').read_text())
    for each in content['annotations']:
        del each['center']
    (tmp_path / 'annotations.json').write_text(json.dumps(content))

    with pytest.raises(
        UserError,
        match=r"AFLWDataset annotations\.json cannot be built: KeyError: .*'center'",
    ):
        build_labeled(dict(dataset, type='AFLWDataset'))


def test_a_package_that_reading_annotations_needs_is_named(tmp_path):
    class Elsewhere(CocoDataset):
        def load_data_list(self):
            raise ImportError('Please install petrel_client')

    dataset = dict(write_set('CocoDataset', tmp_path), type=Elsewhere)

    with pytest.raises(UserError, match='cannot be built: ImportError: Please'):
        build_labeled(dataset)
