"""Boxes and keypoints of a json that are in another form than pixels and xywh."""

import json
import random

import pytest

from mmdistill.datasets.coco.annotations import read_annotations
from mmdistill.errors import UserError

NAMES = ('nose', 'left_eye', 'right_eye')
WIDTH, HEIGHT = 640, 480


def content(count=8, seed=0):
    """Instances all over the image, in boxes that are close around their points."""
    rng, annotations = random.Random(seed), []
    for number in range(1, count + 1):
        left, top = rng.uniform(120, 500), rng.uniform(100, 380)
        width, height = rng.uniform(50, 90), rng.uniform(50, 90)
        shares = [(0.1, 0.1), (0.5, 0.9), (0.9, 0.4)]
        points = [
            [left + x * width, top + y * height, 2 - (number % 2)] for x, y in shares
        ]
        annotations.append(
            dict(
                id=number,
                image_id=1,
                category_id=1,
                bbox=[left, top, width, height],
                keypoints=[each for point in points for each in point],
            )
        )
    return dict(
        images=[dict(id=1, file_name='1.jpg', width=WIDTH, height=HEIGHT)],
        categories=[dict(id=1, name='person', keypoints=list(NAMES))],
        annotations=annotations,
    )


@pytest.fixture
def read(tmp_path):
    def read(given):
        path = tmp_path / 'labeled.json'
        path.write_text(json.dumps(given))
        return read_annotations(path, NAMES)

    return read


def scaled(numbers, factors):
    return [number * factor for number, factor in zip(numbers, factors, strict=True)]


def corners(a):
    x, y, w, h = a['bbox']
    a['bbox'] = [x, y, x + w, y + h]


def centered(a):
    x, y, w, h = a['bbox']
    a['bbox'] = [x + w / 2, y + h / 2, w, h]


def box_shares(a):
    a['bbox'] = scaled(a['bbox'], [1 / WIDTH, 1 / HEIGHT] * 2)


def box_percentages(a):
    a['bbox'] = scaled(a['bbox'], [100 / WIDTH, 100 / HEIGHT] * 2)


def point_shares(a):
    a['keypoints'] = scaled(a['keypoints'], [1 / WIDTH, 1 / HEIGHT, 1] * 3)


def both_shares(a):
    box_shares(a)
    point_shares(a)


def points_elsewhere(a):
    a['keypoints'] = [x + 1000 * (i % 3 < 2) for i, x in enumerate(a['keypoints'])]


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (corners, 'they look like corners'),
        (centered, 'center x, center y'),
        (box_shares, 'shares of the width'),
        (box_percentages, 'percentages of the width'),
        (point_shares, 'lie within 0 and 1'),
        (both_shares, 'lie within 0 and 1'),
        (points_elsewhere, 'less than half of their visible keypoints'),
    ],
)
def test_a_file_in_another_form_is_refused(read, change, sentence):
    given = content()
    for annotation in given['annotations']:
        change(annotation)

    with pytest.raises(UserError, match=sentence):
        read(given)


@pytest.mark.parametrize('seed', range(20))
def test_boxes_in_form_are_taken_wherever_they_are(read, seed):
    given = content(40, seed)

    found = read(given)

    assert found.summary().endswith('40 of 40 annotations train')


def test_single_annotations_in_a_wrong_place_are_said(read):
    given = content()
    points_elsewhere(given['annotations'][2])
    given['annotations'][4]['keypoints'][:2] = [0, 0]

    found = read(given)

    assert '1 boxes hold less than half of their visible keypoints (id 3)' in (
        found.summary()
    )
    assert '4 visible keypoints lie at (0, 0) or off their image (id 3, 5)' in (
        found.summary()
    )


def test_an_instance_that_is_listed_twice_is_said(read):
    given = content()
    given['annotations'].append(dict(given['annotations'][3], id=99))

    found = read(given)

    assert found.trained == 9
    assert '1 annotations have exactly the points of another' in found.summary()
    assert '(id 99)' in found.summary()


def test_entries_that_say_the_same_twice_are_one(read):
    given = content()
    for key in ('images', 'categories'):
        given[key].append(dict(given[key][0]))

    found = read(given)

    assert found.trained == 8
    assert len(found.content['images']) == len(found.content['categories']) == 1
    assert '1 images listed twice' in found.summary()


@pytest.mark.parametrize('key', ['images', 'categories'])
def test_entries_that_contradict_each_other_are_refused(read, key):
    given = content()
    given[key].append(dict(given[key][0], name='other', file_name='2.jpg'))

    with pytest.raises(UserError, match='two entries'):
        read(given)


@pytest.mark.parametrize(('stated', 'trained'), [('0', 8), ('false', 8), ('1', 0)])
def test_a_crowd_in_words_is_read_as_it_is_meant(read, stated, trained):
    given = content()
    for annotation in given['annotations']:
        annotation['iscrowd'] = stated

    assert read(given).trained == trained
