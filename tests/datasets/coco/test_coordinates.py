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


def drawn(seed, count=12, margin=0.0, reach=1.0, size=(256, 192)):
    """Instances anywhere on images, also near (0, 0), in boxes with margins.

    Args:
        seed: Decides all.
        count: Annotations, each on an image of its own.
        margin: Of the points' extent, by which a box is larger on each side.
        reach: Of the image, how far from the corner the points may lie.
        size: Width and height of the images.
    """
    rng, images, annotations = random.Random(seed), [], []
    for number in range(1, count + 1):
        sides = [rng.uniform(0.15, 0.6) * side * reach for side in size]
        start = [
            rng.uniform(0, side * reach - length)
            for side, length in zip(size, sides, strict=True)
        ]
        points = [
            [start[0] + x * sides[0], start[1] + y * sides[1], rng.randint(1, 2)]
            for x, y in ((0.0, rng.random()), (1.0, 0.0), (rng.random(), 1.0))
        ]
        low = [max(0, s - margin * e) for s, e in zip(start, sides, strict=True)]
        high = [
            min(side, s + (1 + margin) * e)
            for side, s, e in zip(size, start, sides, strict=True)
        ]
        box = [*low, high[0] - low[0], high[1] - low[1]]
        annotations.append(
            dict(
                id=number,
                image_id=number,
                category_id=1,
                bbox=box,
                keypoints=[each for point in points for each in point],
            )
        )
        images.append(
            dict(id=number, file_name=f'{number}.jpg', width=size[0], height=size[1])
        )
    return dict(content(), images=images, annotations=annotations)


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
        (corners, 'boxes look like corners'),
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


@pytest.mark.parametrize('margin', [0.0, 0.2, 0.4])
@pytest.mark.parametrize('seed', range(10))
def test_corners_are_told_wherever_the_boxes_are(read, seed, margin):
    given = drawn(seed, margin=margin)
    for annotation in given['annotations']:
        corners(annotation)

    with pytest.raises(UserError, match='boxes look like corners'):
        read(given)


@pytest.mark.parametrize('reach', [1.0, 0.4])
@pytest.mark.parametrize('margin', [0.0, 0.2, 1.0, 5.0])
@pytest.mark.parametrize('seed', range(10))
def test_boxes_with_any_margin_are_taken(read, seed, margin, reach):
    given = drawn(seed, margin=margin, reach=reach)

    assert read(given).trained == len(given['annotations'])


@pytest.mark.parametrize('seed', range(10))
def test_points_in_one_part_of_large_boxes_are_no_corners(read, seed):
    """A face in the upper part of the box of a body, near the image's corner."""
    rng, given = random.Random(seed), drawn(seed, reach=0.5)
    for annotation in given['annotations']:
        left, top = rng.uniform(0, 60), rng.uniform(0, 40)
        width, height = 250 - left, 190 - top
        annotation['bbox'] = [left, top, width, height]
        face = left + rng.uniform(0.2, 0.6) * width, top + 0.2 * height
        annotation['keypoints'] = [
            number
            for x, y in ((0, 0), (20, 0), (10, 15))
            for number in (face[0] + x, face[1] + y, 2)
        ]

    assert read(given).trained == len(given['annotations'])


@pytest.mark.parametrize('count', [1, 2, 3])
def test_few_corners_are_told_where_all_leave_their_images(read, count):
    given = content(count)
    for annotation in given['annotations']:
        left, top, width, height = annotation['bbox']
        move = 540 - left
        annotation['bbox'] = [left + move, top, width, height]
        annotation['keypoints'] = [
            number + move * (i % 3 == 0)
            for i, number in enumerate(annotation['keypoints'])
        ]
        corners(annotation)

    with pytest.raises(UserError, match='boxes look like corners'):
        read(given)


def point_percentages(a):
    a['keypoints'] = scaled(a['keypoints'], [100 / WIDTH, 100 / HEIGHT, 1] * 3)


def exchanged(a):
    k = a['keypoints']
    a['keypoints'] = [
        k[i] for start in (0, 3, 6) for i in (start + 1, start, start + 2)
    ]


HINTS = ('look like', 'look exchanged')


@pytest.mark.parametrize(
    ('change', 'hint'),
    [
        (point_percentages, 'the keypoints look like percentages'),
        (exchanged, 'x and y of the keypoints look exchanged'),
        (points_elsewhere, None),
    ],
)
def test_only_what_the_numbers_show_is_named(read, change, hint):
    given = content(12, seed=1)
    for annotation in given['annotations']:
        change(annotation)

    with pytest.raises(UserError) as caught:
        read(given)

    sentence = str(caught.value)
    named = [each for each in HINTS if each in sentence]
    assert (hint in sentence and len(named) == 1) if hint else not named
    assert f'bbox {given["annotations"][0]["bbox"]}' in sentence
    assert 'visible keypoints from [' in sentence


def test_percentages_of_both_are_said(read):
    given = content()
    for annotation in given['annotations']:
        box_percentages(annotation)
        point_percentages(annotation)

    assert 'pixels, not percentages' in read(given).summary()


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
