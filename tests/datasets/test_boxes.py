"""Boxes from a detection file."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.datasets.boxes import read_boxes, stored_boxes
from mmdistill.datasets.image_list import ImageList
from mmdistill.errors import UserError
from mmdistill.labels import LabelStore
from mmdistill.labels.store_kind import DETECTIONS

KNOWN = ImageList(['a.jpg', 'b.jpg', 'c.jpg'], [1, 2, 3], np.array([[64, 48]] * 3))
UNKNOWN = ImageList(KNOWN.paths, KNOWN.ids)


def detection(image_id=1, bbox=(2, 3, 10, 20), score=0.5, category_id=1):
    return dict(
        image_id=image_id, category_id=category_id, bbox=list(bbox), score=score
    )


@pytest.fixture
def read(tmp_path):
    """Read detections from a file."""

    def read(detections, images=KNOWN, category_ids=None):
        (tmp_path / 'boxes.json').write_text(json.dumps(detections))
        return read_boxes(tmp_path / 'boxes.json', images, category_ids)

    return read


def test_boxes_are_grouped_by_image_in_the_order_of_the_file(read):
    boxes = read([detection(i, score=s) for i, s in ((3, 0.1), (1, 0.2), (3, 0.3))])
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
    with pytest.raises(UserError, match=r'must be a list of .*wrong: a dict'):
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


def test_a_file_without_detections_gives_no_boxes(read):
    boxes = read([])
    assert boxes.offsets.tolist() == [0, 0, 0, 0]
    assert boxes.of_image(2)[0].shape == (0, 4)


@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        (detection(image_id=7), 'names 1 boxes of unknown images.*image_id 7'),
        (detection(image_id='1'), "unknown images.*image_id '1'"),
        (detection(bbox=(np.nan, 3, 10, 20)), r'finite; image_id 2 has \[nan, 3'),
        (detection(bbox=(2, 3, np.inf, 20)), r'finite; image_id 2 has \[2.0, 3.0, inf'),
        (detection(score=np.nan), 'finite; image_id 2 .*score nan'),
        (detection(bbox=(2, 3, -10, 20)), 'above 0; image_id 2 has .*-10'),
        (detection(bbox=(2, 3, 10, 0)), r'above 0; image_id 2 has .*10.0, 0.0\]'),
        (detection(bbox=(2, 3, 10)), 'must be a list of'),
        (detection(bbox='2 3'), 'must be a list of'),
        (detection(score='high'), 'must be a list of'),
        (detection(category_id='dog'), 'must be a list of'),
        (detection(category_id=2**40), 'must be a list of'),
        ({'image_id': 1, 'bbox': [1, 1, 1, 1]}, "must be a list of .*wrong: 'score'"),
        ([1, 2, 3], 'must be a list of'),
    ],
)
def test_a_wrong_detection_is_named(read, wrong, sentence):
    if isinstance(wrong, dict) and wrong['image_id'] == 1:
        wrong['image_id'] = 2
    with pytest.raises(UserError, match=sentence):
        read([detection(), wrong, detection()])


@pytest.mark.parametrize('content', [{'annotations': []}, 5, 'boxes', None])
def test_a_json_of_another_form_is_refused(read, content):
    with pytest.raises(UserError, match='must be a list of'):
        read(content)


def test_boxes_that_all_lack_a_side_are_refused(read):
    # 4 boxes of 3 numbers are as many numbers as 3 boxes of 4.
    with pytest.raises(UserError, match='must be a list of'):
        read([detection(bbox=(1, 2, 3)) for _ in range(4)])


def test_the_hash_of_some_images_knows_their_boxes_only(read):
    first = read([detection(1), detection(2), detection(3)])
    second = read([detection(1), detection(2), detection(3, score=0.6)])
    assert first.sha256(np.array([1, 0])) == second.sha256(np.array([1, 0]))
    assert first.sha256(np.array([0, 2])) != second.sha256(np.array([0, 2]))


def test_the_hash_tells_whose_a_box_is(read):
    numbers = np.array([0, 1])
    hashes = {read([detection(image)]).sha256(numbers) for image in (1, 2)}
    assert len(hashes) == 2


def test_a_category_is_needed_only_to_choose_by_it(read):
    plain = {'image_id': 1, 'bbox': [1, 1, 5, 5], 'score': 1}
    assert len(read([plain]).scores) == 1
    with pytest.raises(UserError, match="wrong: 'category_id'"):
        read([plain], category_ids=[1])


def test_boxes_off_an_image_of_unknown_size_are_left_to_the_decoder(read):
    boxes = read([detection(bbox=(9000, 3, 10, 20))], UNKNOWN)
    assert boxes.of_image(0)[0].tolist() == [[9000, 3, 9010, 23]]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the detection file .*no\.json can not be'):
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
