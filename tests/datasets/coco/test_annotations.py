"""A labeled json read strictly: what trains, what is mended, what is refused."""

import copy
import json
import math
import random

import numpy as np
import pytest
from mmpose.datasets import CocoDataset

from mmdistill.datasets.coco.annotations import (
    read_annotations,
)
from mmdistill.datasets.coco.images import check_sizes
from mmdistill.datasets.coco.keypoint_names import compare_names
from mmdistill.errors import UserError
from mmdistill.functional.boxes import box_of_points
from tests.helpers.annotations import INFO, NAMES, annotation, coco


@pytest.fixture
def read(tmp_path):
    def read(content, **settings):
        path = tmp_path / 'labeled.json'
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)
        return read_annotations(path, NAMES, **settings)

    return read


@pytest.fixture
def as_trained(tmp_path):
    """The samples that MMPose makes of what was read."""

    def build(found):
        path = tmp_path / 'read.json'
        path.write_text(json.dumps(found.content))
        dataset = CocoDataset(
            ann_file=str(path),
            metainfo=copy.deepcopy(INFO),
            serialize_data=False,
            lazy_init=True,
        )
        return dataset.load_data_list()

    return build


def test_a_normal_file_is_unchanged(read):
    content = coco(annotation(1), annotation(2, 2))

    found = read(content)

    assert found.content == content
    assert not found.changes
    assert found.summary().endswith('2 of 2 annotations train')


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        (dict(iscrowd=1), 'are crowds'),
        (dict(keypoints=...), 'have no keypoints'),
        (dict(keypoints=None), 'have no keypoints'),
        (dict(keypoints=[]), 'have no keypoints'),
        (dict(keypoints=[0] * 9), 'have no visible keypoint'),
        (dict(keypoints=[5, 5, 0] * 3), 'have no visible keypoint'),
        (dict(keypoints=[-5, -5, 2] * 3), 'lie at or beyond the corner'),
        (dict(keypoints=[1, 1, 2] * 2), 'have another number of keypoints'),
        (dict(keypoints=['a'] * 9), 'have keypoints that are not numbers'),
        (dict(keypoints='12 12 2'), 'have keypoints that are not numbers'),
        (dict(image_id=99), 'name an image that is not listed'),
        (dict(image_id=None), 'name an image that is not listed'),
    ],
)
@pytest.mark.parametrize('box', [[10, 10, 20, 20], None, [], ..., ['x'] * 4])
def test_what_does_not_train_is_counted_by_its_reason(
    read, as_trained, changes, reason, box
):
    found = read(coco(annotation(1), annotation(7, 2, bbox=box, **changes)))

    ((said, ids),) = found.rejected.items()
    assert said.startswith(reason)
    assert ids == [7]
    assert found.trained == len(as_trained(found)) == 1
    assert f'1 of 2 annotations train; 1 {reason}' in found.summary()


@pytest.mark.parametrize(
    'changes',
    [
        *(dict(bbox=box) for box in (..., None, [], [1, 2], ['a'] * 4, 'box', {})),
        dict(bbox=[12, 12, 0, 0]),
        dict(bbox=[10, 10, -1, -1]),
        dict(bbox=[float('nan'), 1, 5, 5]),
        dict(bbox=[500, 500, 9, 9]),
        dict(bbox=[0, 0, 1e300, 1e300]),
        dict(num_keypoints=0),
        dict(num_keypoints=...),
        dict(num_keypoints='3'),
        dict(area=...),
        dict(area=None),
        dict(area=-1),
        dict(iscrowd=...),
        dict(iscrowd=None),
        dict(iscrowd=False),
        dict(category_id=...),
        dict(category_id=None),
        dict(category_id='1'),
        dict(id='abc'),
        dict(id=...),
        dict(id=1.0),
        dict(id=True),
        dict(image_id='1'),
        dict(image_id=1.0),
        dict(keypoints=[[12, 12, 2], [20, 20, 2], [28, 25, 1]]),
        dict(keypoints=[12, 12, 2, 20, 20, 2, 28, 25, 5]),
        dict(segmentation=None),
    ],
)
def test_what_a_labeling_tool_writes_trains(read, as_trained, changes):
    found = read(coco(annotation(1), annotation(2, **changes)))

    first, second = as_trained(found)
    assert found.trained == 2
    assert first['id'] != second['id']
    assert second['img_id'] == 1
    assert second['category_id'] == 1
    assert second['keypoints'].tolist() == first['keypoints'].tolist()
    assert second['keypoints_visible'].tolist() == [[1, 1, 1]]
    left, top, right, bottom = second['bbox'][0]
    # As MMPose clips it, the box holds its points.
    assert left <= 12
    assert right >= 28
    assert top <= 12
    assert bottom >= 25
    assert second['area'] > 0


def test_instances_of_one_id_keep_their_own_points(read, as_trained):
    others = [30, 30, 2] * 3
    found = read(coco(annotation(5), annotation(5, 2, keypoints=others)))

    points = [info['keypoints'][0, 0].tolist() for info in as_trained(found)]
    assert points == [[12, 12], [30, 30]]
    assert 'renumbered' in found.summary()


def test_ids_that_are_texts_become_numbers_of_their_own(read, as_trained):
    content = coco(annotation('a', 'img-1'), annotation('b', '7'))
    content['images'] = [
        dict(id=number, file_name=f'{i}.jpg', width=64, height=48)
        for i, number in enumerate(('img-1', '7', 'x', 9))
    ]

    found = read(content)

    assert [image['id'] for image in found.content['images']] == [10, 7, 11, 9]
    assert sorted(info['img_id'] for info in as_trained(found)) == [7, 10]


def test_a_skeleton_of_one_point_has_a_box_within_the_image(read, as_trained):
    points = [63, 47, 2, 0, 0, 0, 0, 0, 0]
    found = read(coco(annotation(1, bbox=[63, 47, 0, 0], keypoints=points)))

    (info,) = as_trained(found)
    x, y, width, height = found.content['annotations'][0]['bbox']
    assert x >= 0
    assert y >= 0
    assert x + width <= 63
    assert y + height <= 47
    assert (info['bbox'][0, 2:] > info['bbox'][0, :2]).all()


@pytest.mark.parametrize('seed', range(50))
def test_a_box_of_points_is_as_large_as_it_says(seed):
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(2, 500, 2))
    points = rng.uniform(-50, 550, (rng.integers(1, 6), 2))

    x, y, width, height = box_of_points([tuple(p) for p in points], size)

    assert 0 <= x < x + width <= max(size[0] - 1, 1)
    assert 0 <= y < y + height <= max(size[1] - 1, 1)
    inside = (points >= 0).all(1) & (points <= np.array(size) - 1).all(1)
    for px, py in points[inside]:
        assert x - 1e-6 <= px <= x + width + 1e-6
        assert y - 1e-6 <= py <= y + height + 1e-6


def test_points_that_are_no_numbers_are_invisible(read, as_trained):
    points = [None, None, 2, float('nan'), 3, 2, 28, 25, 2]
    found = read(coco(annotation(1, keypoints=points)))

    (info,) = as_trained(found)
    assert info['keypoints_visible'].tolist() == [[0, 0, 1]]
    assert '2 keypoints without finite numbers' in found.summary()


def test_a_fractional_visibility_is_rounded(read, as_trained):
    points = [12, 12, 0.3, 20, 20, 0.7, 28, 25, -1]
    found = read(coco(annotation(1, keypoints=points)))

    (info,) = as_trained(found)
    assert info['keypoints_visible'].tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    ('names', 'refused'),
    [
        (['nose', 'right_eye', 'left_eye'], "keypoint 1 .* is 'right_eye', that of"),
        (['Nose', 'left eye', 'Right-Eye'], None),
        (['0', '1', '2'], None),
        (['nose', 'left_eye', 'chin'], None),
        (['left_eye', 'chin', 'brow'], 'keypoint 0'),
        (['nose'], None),
        (None, None),
        ('nose', None),
    ],
)
def test_keypoints_in_another_order_are_refused(read, names, refused):
    content = coco(annotation(1))
    content['categories'][0]['keypoints'] = names
    if refused is None:
        assert read(content).trained == 1
        return
    with pytest.raises(UserError, match=refused):
        read(content)


def test_another_number_of_points_than_the_configs_is_refused(read):
    content = coco(*(annotation(i, keypoints=[1, 1, 2] * 5) for i in (1, 2)))

    with pytest.raises(UserError, match=r'2 annotations .* 15 numbers.* need 9'):
        read(content)


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('[]', 'must be a COCO json, a dict'),
        ('{"images": 5}', 'images of the annotations .* must be a list'),
        ('{"images": [5]}', 'must be a list of dicts'),
        ('{"annotations": []}', 'images of the annotations .* got None'),
        ('{"images": [', 'is not valid JSON'),
        ('{"images": [{"file_name": "a.jpg"}]}', 'give an image without an id'),
        ('{"images": [{"id": 1}, {"id": 1}]}', 'two entries the image id 1'),
        ('{"images": [{"id": 1, "file_name": null}]}', 'must have a file_name'),
        ('{"images": [{"id": 1, "file_name": "a"}]}', 'state no width and height'),
    ],
)
def test_what_is_no_coco_json_is_refused(read, content, sentence):
    with pytest.raises(UserError, match=sentence):
        read(content)


def test_a_byte_order_mark_is_read_over(tmp_path):
    path = tmp_path / 'labeled.json'
    path.write_bytes(b'\xef\xbb\xbf' + json.dumps(coco(annotation(1))).encode())

    assert read_annotations(path, NAMES).trained == 1


def test_sizes_that_are_not_stated_are_those_of_the_images(read, as_trained):
    content = coco(annotation(1), annotation(2, 2))
    del content['images'][0]['width']
    content['images'][1]['height'] = None

    found = read(content, size_of=lambda name: (64, 48))

    assert len(as_trained(found)) == 2
    assert found.content['images'][0]['width'] == 64


@pytest.mark.parametrize(('size', 'word'), [((60, 48), '60 x 48'), ((48, 64), 'EXIF')])
def test_a_size_that_is_not_the_images_is_refused(read, size, word):
    found = read(coco(annotation(1)))

    with pytest.raises(UserError, match=word):
        check_sizes(found, lambda name: size if name == '2.jpg' else (64, 48))


VALUES = (
    *(None, True, 0, 1, -3, 2.5, 1e300, math.nan, math.inf, 10**30, 10**400),
    *('', '1', 'x', 'é\ud800', '\0', [], [1], [[1]], [None] * 9, {}, {'id': 1}),
)


def spoil(content, rng):
    """Put values of any type anywhere."""
    for _ in range(rng.randint(1, 4)):
        part = content
        while True:
            keys = list(part if isinstance(part, dict) else range(len(part)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(part[key], (dict, list)) and part[key] and rng.random() < 0.8:
                part = part[key]
                continue
            if rng.random() < 0.2 and isinstance(part, dict):
                del part[key]
            else:
                part[key] = copy.deepcopy(rng.choice(VALUES))
            break


@pytest.mark.parametrize('seed', range(300))
def test_any_values_are_read_as_mmpose_trains_them_or_refused(read, as_trained, seed):
    rng = random.Random(seed)
    content = coco(*(annotation(i, rng.randint(1, 3)) for i in range(1, 6)))
    spoil(content, rng)

    try:
        found = read(content, size_of=lambda name: (64, 48))
    except UserError:
        return

    samples = as_trained(found)
    assert len(samples) == found.trained
    assert found.trained + sum(map(len, found.rejected.values())) == found.total
    for info in samples:
        assert np.isfinite(info['keypoints']).all()
        assert np.isfinite(info['bbox']).all()
        assert set(info['keypoints_visible'].flat) <= {0, 1}


@pytest.mark.parametrize(
    ('names', 'refused'),
    [
        (['Nose', 'REye', 'LEye'], True),
        (['nose', 'eye_r', 'eye_l'], True),
        (['nose', 'RightEye', 'LeftEye'], True),
        (['Nose', 'LEye', 'REye'], False),
        (['nose', 'eye.left', 'eye.right'], False),
    ],
)
def test_sides_are_compared_in_any_spelling(read, names, refused):
    content = coco(annotation(1))
    content['categories'][0]['keypoints'] = names
    if not refused:
        assert 'names of keypoints' not in read(content).summary()
        return
    with pytest.raises(UserError, match='the order differs'):
        read(content)


@pytest.mark.parametrize('first', [0, 1, 7])
def test_names_that_only_count_say_nothing_about_the_order(first):
    names = [f'kpt-{first + i}' for i in range(20)]

    assert compare_names('a.json', names, [f'kpt-{i}' for i in range(20)]) == ''


def test_names_that_the_config_does_not_have_are_said(read):
    content = coco(annotation(1))
    content['categories'][0]['keypoints'] = ['nose', 'left_eye', 'chin']

    found = read(content)

    assert not found.changes
    assert '1 names of keypoints are not those of the config (chin)' in found.summary()


@pytest.mark.parametrize('seed', range(60))
def test_bytes_of_any_kind_are_read_or_refused(tmp_path, seed):
    rng = random.Random(seed)
    whole = bytearray(json.dumps(coco(annotation(1), annotation(2, 2))).encode())
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(whole))
        whole[at : at + rng.randint(0, 3)] = rng.choice(
            [b'', b'\xff', b'\x00', b'[' * 3000, b'9' * 5000, b'"', b'}', b'NaN']
        )
    path = tmp_path / 'labeled.json'
    path.write_bytes(bytes(whole[: rng.choice([len(whole), rng.randrange(900)])]))

    try:
        found = read_annotations(path, NAMES)
    except UserError:
        return
    assert found.trained <= found.total
