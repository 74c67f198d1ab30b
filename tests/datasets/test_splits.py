"""Tests of splits of a COCO json, beside MMPose's own data set."""

import json
from functools import partial

import pytest
from mmpose.datasets import CocoDataset

from mmdistill.datasets.split_rules import first_instances, random_images
from mmdistill.datasets.splits import write_split
from mmdistill.errors import UserError


def annotation(number, image, **changes):
    keypoints = [20.0, 20.0, 2] * 17
    return {
        'id': number,
        'image_id': image,
        'category_id': 1,
        'bbox': [10, 10, 30, 30],
        'area': 900,
        'iscrowd': 0,
        'keypoints': keypoints,
        'num_keypoints': 17,
        **changes,
    }


UNTRAINED = [
    dict(iscrowd=1),
    dict(num_keypoints=0),
    dict(keypoints=[0, 0, 0] * 17),
    dict(bbox=[10, 10, 0, 30]),
    dict(bbox=[200, 10, 30, 30]),
    dict(bbox=[-50, 10, 40, 30]),
]


@pytest.fixture(scope='module')
def content():
    """Eight images: two instances on each, and one that is not trained on."""
    images = [
        dict(
            id=i,
            file_name=f'{i % 3}/{i}.jpg',
            width=100,
            height=80,
            animal=f'mouse {i % 4}',
        )
        for i in (7, 3, 5, 1, 0, 2, 6, 4)
    ]
    annotations = [
        annotation(10 * i + k, i, **(UNTRAINED[i % 6] if k == 1 else {}))
        for i in range(8)
        for k in range(3)
    ]
    categories = [dict(id=1, name='person')]
    return dict(images=images, annotations=annotations, categories=categories)


@pytest.fixture
def ann_file(content, tmp_path):
    path = tmp_path / 'all.json'
    path.write_text(json.dumps(content))
    return path


def loaded(path):
    return CocoDataset(ann_file=str(path), data_mode='topdown', pipeline=[])


def images_of(path):
    return {image['id'] for image in json.loads(path.read_text())['images']}


class TestFirstInstances:
    @pytest.mark.parametrize('count', [1, 4, 5, 13])
    def test_mmpose_trains_on_as_many_and_on_the_same(self, ann_file, tmp_path, count):
        write_split(ann_file, partial(first_instances, count=count), tmp_path, 'few')

        every = [loaded(ann_file)[i]['id'] for i in range(16)]
        few = loaded(tmp_path / 'few_labeled.json')

        assert [few[i]['id'] for i in range(len(few))] == every[:count]

    @pytest.mark.parametrize('count', [0, -1, 17])
    def test_a_count_that_cannot_be_is_refused(self, content, count):
        with pytest.raises(UserError, match=f'of {count} instances .* has 16 that'):
            first_instances(content, count)


class TestWriteSplit:
    @pytest.fixture
    def choose(self):
        return partial(random_images, count=3, seed=0)

    def test_every_image_is_on_one_side(self, ann_file, choose, tmp_path):
        write_split(ann_file, choose, tmp_path, 'three')

        labeled = images_of(tmp_path / 'three_labeled.json')
        unlabeled = images_of(tmp_path / 'three_unlabeled.json')

        assert (len(labeled), len(unlabeled)) == (3, 5)
        assert labeled | unlabeled == set(range(8))

    def test_unlabeled_images_have_no_annotation(self, ann_file, choose, tmp_path):
        write_split(ann_file, choose, tmp_path, 'three')
        assert 'annotations' not in json.loads(
            (tmp_path / 'three_unlabeled.json').read_text()
        )

    def test_the_oracle_has_those_of_the_unlabeled_side(
        self, ann_file, choose, tmp_path
    ):
        write_split(ann_file, choose, tmp_path, 'three')

        oracle = json.loads((tmp_path / 'three_oracle.json').read_text())

        images = images_of(tmp_path / 'three_unlabeled.json')
        assert {a['image_id'] for a in oracle['annotations']} == images
        assert len(oracle['annotations']) == 15

    def test_the_manifest_holds_the_counts(self, ann_file, choose, tmp_path):
        manifest = write_split(ann_file, choose, tmp_path, 'three')

        assert manifest == json.loads((tmp_path / 'three.json').read_text())
        assert manifest['rule'] == '3 images at random, seed 0'
        assert manifest['labeled']['annotations'] == 9

    def test_the_same_json_gives_the_same_bytes(self, ann_file, choose, tmp_path):
        for folder in ('one', 'two'):
            write_split(ann_file, choose, tmp_path / folder, 'three')

        one, two = (sorted((tmp_path / name).iterdir()) for name in ('one', 'two'))

        assert [path.read_bytes() for path in one] == [p.read_bytes() for p in two]

    def test_an_image_listed_twice_is_refused(self, content, choose, tmp_path):
        twice = dict(content['images'][0], id=99)
        path = tmp_path / 'twice.json'
        path.write_text(json.dumps(dict(content, images=[*content['images'], twice])))
        with pytest.raises(UserError, match='name an image twice'):
            write_split(path, choose, tmp_path, 'three')

    def test_another_json_is_refused(self, choose, tmp_path):
        path = tmp_path / 'list.json'
        path.write_text('[]')
        with pytest.raises(UserError, match='must be a COCO json'):
            write_split(path, choose, tmp_path, 'three')
