"""True instances as COCO's evaluation prepares them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.datasets.coco.ground_truth import read_truth
from mmdistill.errors import UserError

SEEN = [1, 2, 2, 3, 4, 1]
UNSEEN = [0, 0, 0, 0, 0, 0]


@pytest.fixture
def write(tmp_path):
    """Write annotations of the image a.png, beside an empty b.png."""

    def write_(*annotations):
        images = [dict(id=1, file_name='a.png'), dict(id=2, file_name='b.png')]
        base = dict(image_id=1, bbox=[1, 2, 10, 20], keypoints=SEEN)
        content = dict(images=images, annotations=[{**base, **a} for a in annotations])
        path = tmp_path / 'truth.json'
        path.write_text(json.dumps(content))
        return path

    return write_


def test_coordinates_boxes_and_areas_are_those_of_the_file(write):
    truth = read_truth(write(dict(area=70, category_id=3)), 2)['a.png']
    assert truth.keypoints.tolist() == [[[1, 2], [3, 4]]]
    assert truth.labeled.tolist() == [[True, True]]
    assert truth.bboxes.tolist() == [[1, 2, 11, 22]]
    assert truth.areas.tolist() == [70]
    assert truth.category_ids.tolist() == [3]


def test_without_an_area_it_is_the_share_of_the_box_that_mmpose_takes(write):
    assert read_truth(write({}), 2)['a.png'].areas == pytest.approx([0.53 * 200])


@pytest.mark.parametrize(
    ('annotation', 'ignored', 'crowd'),
    [
        (dict(), False, False),
        (dict(iscrowd=1), True, True),
        (dict(ignore=1), True, False),
        (dict(keypoints=UNSEEN), True, False),
    ],
)
def test_ignored_instances(write, annotation, ignored, crowd):
    truth = read_truth(write(annotation), 2)['a.png']
    assert (truth.ignored.tolist(), truth.crowd.tolist()) == ([ignored], [crowd])


def test_an_instance_without_keypoints_is_ignored(write, tmp_path):
    path = write({})
    content = json.loads(path.read_text())
    del content['annotations'][0]['keypoints']
    path.write_text(json.dumps(content))
    assert read_truth(path, 2)['a.png'].ignored.tolist() == [True]


def test_an_image_without_annotations_has_no_instance(write):
    truth = read_truth(write({}), 2)['b.png']
    assert len(truth) == 0
    assert truth.keypoints.shape == (0, 2, 2)
    assert np.array_equal(truth.areas, [])


@pytest.mark.parametrize(
    'annotation', [dict(keypoints=[1, 2, 2]), dict(bbox=None), dict(bbox=['a'] * 4)]
)
def test_another_form_is_refused(write, annotation):
    with pytest.raises(UserError, match='whose instances have 2 keypoints; wrong'):
        read_truth(write(annotation), 2)


def test_an_image_has_the_key_that_its_label_store_has(tmp_path):
    names = ['./day//a.png', '\udce9.png', 'b\\c.png']
    images = [dict(id=number, file_name=name) for number, name in enumerate(names)]
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(dict(images=images, annotations=[])))
    assert list(read_truth(path, 2)) == ['day/a.png', '\\udce9.png', 'b\\c.png']
