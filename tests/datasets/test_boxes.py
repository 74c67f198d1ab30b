"""Boxes from a detection file."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from mmdistill.datasets.boxes import read_boxes, stored_boxes
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.manifest import DETECTIONS
from tests.helpers.detections import KNOWN, detection

UNKNOWN = ImageList(KNOWN.paths, KNOWN.ids)


@pytest.fixture
def read(tmp_path):
    """Read detections from a file."""

    def read(detections, images=KNOWN, category_ids=None):
        (tmp_path / 'boxes.json').write_text(json.dumps(detections))
        return read_boxes(tmp_path / 'boxes.json', images, category_ids)

    return read


def test_boxes_are_grouped_by_image_in_the_order_of_the_file(read):
    boxes = read(
        [
            detection(i, (x, 3, 10, 20), s)
            for i, x, s in ((3, 1, 0.1), (1, 2, 0.2), (3, 3, 0.3))
        ]
    )
    scores = [boxes.of_image(number)[1] for number in range(3)]
    assert np.array_equal(scores[0], np.float32([0.2]))
    assert len(scores[1]) == 0
    assert np.array_equal(scores[2], np.float32([0.1, 0.3]))


def test_boxes_are_corners(read):
    boxes, _, _ = read([detection(bbox=(2.5, 3, 10, 20))]).of_image(0)
    assert boxes.tolist() == [[2.5, 3, 12.5, 23]]


def test_all_categories_count_by_default(read):
    boxes = read([detection(category_id=c) for c in (1, 18, 44)])
    assert len(boxes.scores) == 3


def test_boxes_have_the_categories_of_their_detections(read):
    boxes = read([detection(i, category_id=c) for i, c in ((2, 44), (1, 18), (2, 3))])
    assert [boxes.of_image(i)[2].tolist() for i in range(3)] == [[18], [44, 3], []]


def test_a_detection_without_a_category_is_of_the_first(read):
    plain = {'image_id': 1, 'bbox': [1, 1, 5, 5], 'score': 1}
    assert read([plain]).category_ids.tolist() == [1]


def test_a_dict_is_no_list_of_detections(read):
    """One without keys looks like no detection."""
    with pytest.raises(UserError, match=r'must be a list of .*got a dict'):
        read({})


def test_the_hash_knows_categories(read):
    hashes = {read([detection(category_id=c)]).sha256(np.array([0])) for c in (1, 2)}
    assert len(hashes) == 2


def test_only_the_categories_asked_for_count(read):
    detections = [detection(category_id=c, score=c / 100) for c in (1, 18, 44)]
    boxes = read(detections, category_ids=[18, 44])
    assert np.array_equal(boxes.scores, np.float32([0.18, 0.44]))


def test_a_box_that_hangs_over_the_edge_is_kept_as_it_is(read):
    boxes, _, _ = read([detection(bbox=(-5, -6, 100, 90))]).of_image(0)
    assert boxes.tolist() == [[-5, -6, 95, 84]]


def test_an_image_without_detections_has_no_box(read):
    boxes = read([detection(1)])
    assert boxes.offsets.tolist() == [0, 1, 1, 1]
    assert boxes.of_image(2)[0].shape == (0, 4)


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        (detection(image_id=None), 'by a number or a path, got the image_id None'),
        (detection(image_id=[1]), r'by a number or a path, got the image_id \[1\]'),
        (detection(image_id=1.5), 'by a number or a path, got the image_id 1.5'),
        (detection(image_id=True), 'by a number or a path, got the image_id True'),
        (detection(bbox=(np.nan, 3, 10, 20)), r'finite numbers .*got \[nan, 3'),
        (detection(bbox=(2, 3, np.inf, 20)), r'finite numbers .*got \[2, 3, inf'),
        (detection(bbox=(2, 3, 1e39, 20)), r'finite numbers .*1e\+39'),
        (detection(bbox=(2, 3, 10)), 'a bbox of four numbers'),
        (detection(bbox=(2, 3, 10, 20, 0.9)), 'a bbox of four numbers'),
        (detection(bbox='2 3'), 'a bbox of four numbers'),
        (detection(bbox=[[1, 2, 3, 4]]), 'a bbox of four numbers'),
        (detection(bbox={'x': 1}), 'a bbox of four numbers'),
        (detection(score='high'), "a number as score, got 'high'"),
        (detection(score=None), 'a number as score, got None'),
        (detection(score=np.nan), 'a score from 0 to 1, got nan'),
        (detection(score=87.5), 'got 87.5; divide percentages by 100'),
        (detection(score=-2.1), 'got -2.1; of logits take the sigmoid'),
        (detection(category_id='dog'), "whole number as category_id, got 'dog'"),
        (detection(category_id=None), 'whole number as category_id, got None'),
        (detection(category_id=2**40), 'whole number as category_id'),
        ({'image_id': 1, 'bbox': [1, 1, 1, 1]}, 'a number as score, got None'),
        ({}, 'by a number or a path, got the image_id None'),
        ([1, 2, 3], r'must be \{image_id.*got \[1, 2, 3\]'),
        (None, 'must be {image_id.*got None'),
    ],
)
def test_a_wrong_detection_is_named(read, wrong, sentence):
    with pytest.raises(UserError, match=f'entry 1 of the detection file .*{sentence}'):
        read([detection(), wrong, detection()])


@pytest.mark.parametrize('bbox', [(2, 3, 0, 20), (2, 3, 10, 0), (2, 3, -10, 20)])
def test_a_box_without_extent_is_left_out_alone(read, logged, bbox):
    boxes = read([detection(), detection(bbox=bbox), detection(2)])

    assert boxes.offsets.tolist() == [0, 1, 2, 2]
    assert len(logged) == 1
    assert '1 boxes of the detection file' in logged[0]


def test_boxes_of_other_images_are_left_out_and_counted(read, logged):
    boxes = read([detection(7), detection(2), detection('d.jpg')])

    assert boxes.offsets.tolist() == [0, 0, 1, 1]
    assert '2 of 3 boxes' in logged[0]
    assert 'image_id 7' in logged[0]


def test_boxes_that_are_of_no_image_are_refused(read):
    with pytest.raises(
        UserError, match=r'none of the 2 boxes .* calls images 7, 8, they are called 1'
    ):
        read([detection(7), detection(8)])


def test_the_same_boxes_of_a_larger_file_have_the_same_hash(read):
    every, numbers = np.arange(3), [detection(2), detection(3)]
    assert read(numbers).sha256(every) == read([detection(9), *numbers]).sha256(every)


@pytest.mark.parametrize('image_id', ['2', 2.0, 'b.jpg', '002'])
def test_an_id_of_another_type_is_the_same_image(read, image_id):
    assert read([detection(image_id)]).offsets.tolist() == [0, 0, 1, 1]


def test_a_file_name_that_contradicts_the_id_is_refused(read):
    with pytest.raises(UserError, match=r'image_id 1, which is a.jpg, .*b.jpg: they'):
        read([dict(detection(), file_name='b.jpg')])
    assert len(read([dict(detection(), file_name='val/a.jpg')]).scores) == 1


def test_categories_that_leave_no_box_are_refused_at_once(read):
    with pytest.raises(UserError, match=r'of the categories \[7\]; it has .*\[1, 18\]'):
        read([detection(category_id=c) for c in (1, 18)], category_ids=[7])


def test_boxes_without_any_extent_are_refused(read):
    with pytest.raises(UserError, match=r'none of the 2 boxes .* has an extent'):
        read([detection(bbox=(1, 1, 0, 0)), detection(2, (1, 1, 0, 0))])


def test_a_repeated_box_stays_once_with_its_best_score(read, logged):
    boxes = read([detection(score=s) for s in (0.2, 0.9, 0.4)])

    assert np.array_equal(boxes.scores, np.float32([0.9]))
    assert '2 boxes' in logged[0]


def test_equal_boxes_of_two_categories_are_two(read):
    assert len(read([detection(category_id=c) for c in (1, 2)]).scores) == 2


def test_a_crowd_of_500_is_labeled_whole(read, logged):
    crowd = [detection(bbox=(i % 50, i // 50, 10, 20), score=0.5) for i in range(500)]

    assert len(read(crowd).scores) == 500
    assert logged == []


def test_more_boxes_than_any_crowd_are_cut_to_the_best(read, logged):
    many = [detection(bbox=(i, 3, 10, 20), score=(i % 7) / 10) for i in range(5000)]

    boxes = read([*many, detection(2)])

    assert boxes.offsets.tolist() == [0, 1000, 1001, 1001]
    # The best ones, in the order of the file where scores are equal.
    best = sorted(range(5000), key=lambda i: (-(i % 7), i))[:1000]
    assert boxes.of_image(0)[0][:, 0].tolist() == sorted(best)
    assert any('4000 boxes' in line for line in logged)


VALUES = (
    *(None, True, 0, 1, 2, 3, -3, 2.5, 1e39, float('nan'), float('inf'), 10**30),
    *('', '1', 'a.jpg', 'é\ud800', [], [1], [[1]], [1, 2, 3, 4], {}, {'id': 1}),
)


def slow_boxes(detections):
    """Boxes by image, one after the other, of detections that are all in form."""
    names = {1: 0, 2: 1, 3: 2, '1': 0, '2': 1, '3': 2, 'a.jpg': 0, 'a': 0}
    best = [{}, {}, {}]
    for order, each in enumerate(detections):
        x, y, width, height = each['bbox']
        corners = np.float32([x, y, x + width, y + height])
        if each['image_id'] not in names or (corners[2:] <= corners[:2]).any():
            continue
        boxes = best[names[each['image_id']]]
        key = (each.get('category_id', 1), *corners.tolist())
        score = np.float32(each['score'])
        if key not in boxes or boxes[key][0] < score:
            boxes[key] = (score, order)
    return [sorted((order, key, s) for key, (s, order) in one.items()) for one in best]


@pytest.mark.parametrize('seed', range(300))
def test_any_values_are_boxes_of_a_slow_loop_or_refused(read, seed):
    rng = random.Random(seed)
    detections = [
        detection(
            rng.randint(1, 4),
            [rng.randint(0, 5), 3, rng.randint(0, 3), 5],
            rng.randint(0, 4) / 4,
            rng.randint(1, 2),
        )
        for _ in range(12)
    ]
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        entry = rng.choice(detections)
        key = rng.choice(list(entry))
        if rng.random() < 0.2:
            del entry[key]
        elif key == 'bbox' and rng.random() < 0.7:
            entry[key][rng.randrange(4)] = rng.choice(VALUES)
        else:
            entry[key] = rng.choice(VALUES)

    try:
        boxes = read(detections)
    except UserError:
        return

    for number, expected in enumerate(slow_boxes(detections)):
        corners, scores, categories = boxes.of_image(number)
        assert [
            (category, *box)
            for category, box in zip(categories.tolist(), corners.tolist(), strict=True)
        ] == [key for _, key, _ in expected]
        assert scores.tolist() == [score for _, _, score in expected]


@pytest.mark.parametrize('content', [{'annotations': []}, 5, 'boxes', None])
def test_a_json_of_another_form_is_refused(read, content):
    with pytest.raises(UserError, match='must be a list of'):
        read(content)


def test_the_hash_of_some_images_knows_their_boxes_only(read):
    first = read([detection(1), detection(2), detection(3)])
    second = read([detection(1), detection(2), detection(3, score=0.6)])
    assert first.sha256(np.array([1, 0])) == second.sha256(np.array([1, 0]))
    assert first.sha256(np.array([0, 2])) != second.sha256(np.array([0, 2]))


def test_the_hash_tells_whose_a_box_is(read):
    numbers = np.array([0, 1])
    hashes = {read([detection(image)]).sha256(numbers) for image in (1, 2)}
    assert len(hashes) == 2


def test_a_box_without_a_category_is_of_the_first(read):
    plain = {'image_id': 1, 'bbox': [1, 1, 5, 5], 'score': 1}
    assert len(read([plain]).scores) == 1
    assert len(read([plain], category_ids=[1]).scores) == 1


def test_boxes_off_an_image_of_unknown_size_are_left_to_the_decoder(read):
    boxes = read([detection(bbox=(9000, 3, 10, 20))], UNKNOWN)
    assert boxes.of_image(0)[0].tolist() == [[9000, 3, 9010, 23]]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the detection file .*no\.json cannot be'):
        read_boxes(tmp_path / 'no.json', KNOWN)


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Detections on 000.png to 003.png: two, none for a broken one, none, three."""
    rows = make_rows((2, None, 0, 3), num_keypoints=0)
    make_store(tmp_path / 'boxes', rows, names=())
    return LabelStore(tmp_path / 'boxes', DETECTIONS)


def test_boxes_of_a_store_are_found_by_path(store):
    boxes = stored_boxes(store, ['003.png', '002.png', '000.png', '001.png'])

    held = store.read().candidates
    assert np.diff(boxes.offsets).tolist() == [3, 0, 2, 0]
    for number, rows in ((0, slice(2, 5)), (2, slice(0, 2))):
        found = boxes.of_image(number)
        assert np.array_equal(found[0], held.bboxes[rows])
        assert np.array_equal(found[1], held.bbox_scores[rows])
        assert np.array_equal(found[2], held.category_ids[rows])


def test_images_of_a_store_that_nobody_asks_for_are_left_out(store):
    boxes = stored_boxes(store, ['002.png', '003.png'])
    assert np.diff(boxes.offsets).tolist() == [0, 3]


def test_categories_of_a_store_can_be_chosen(store):
    paths = store.paths()
    ids = store.read().candidates.category_ids
    boxes = stored_boxes(store, paths, category_ids=[int(ids[0])])
    assert boxes.category_ids.tolist() == [i for i in ids if i == ids[0]]


def test_an_image_that_a_store_lacks_is_told(store):
    with pytest.raises(
        UserError, match=r'lacks 1 of the images, the first is x\.png; continue with'
    ):
        stored_boxes(store, ['000.png', 'x.png'])


@pytest.mark.parametrize(
    'name', ['./day/a.jpg', '/day/a.jpg', 'day//a.jpg', 'day/./a.jpg', r'.\day\a.jpg']
)
@pytest.mark.parametrize('ids', [None, [7, 8]])
def test_a_path_may_be_spelled_in_several_ways(read, name, ids):
    boxes = read([detection(name)], ImageList(['b.jpg', 'day/a.jpg'], ids))
    assert np.diff(boxes.offsets).tolist() == [0, 1]


@pytest.mark.parametrize('name', ['.', './', '/', '', '../a.jpg', 'day'])
def test_other_paths_are_of_no_image(read, name):
    with pytest.raises(UserError, match='of an unlabeled image'):
        read([detection(name)], ImageList(['a.jpg', 'day/a.jpg']))
