"""COCO jsons as labeling tools write them, as MMPose trains on what is read."""

import copy
import json

import pytest
from mmpose.datasets import CocoDataset

from mmdistill.datasets.coco.annotations import read_annotations
from mmdistill.datasets.coco.categories import check_categories
from mmdistill.errors import UserError
from tests.helpers.annotations import INFO, NAMES, annotation, coco
from tests.helpers.tool_jsons import POINTS, TOOLS, label_studio, roboflow

UNNAMED = ('new-point-0', 'new-point-1', 'new-point-2')


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / 'labeled.json'
        path.write_text(json.dumps(content))
        return read_annotations(path, NAMES, lambda name: (64, 48))

    return read


@pytest.fixture
def trained(read, tmp_path):
    """The samples that MMPose makes of a json once it is read."""

    def trained(content):
        path = tmp_path / 'read.json'
        path.write_text(json.dumps(read(content).content))
        dataset = CocoDataset(
            ann_file=str(path),
            metainfo=copy.deepcopy(INFO),
            serialize_data=False,
            lazy_init=True,
        )
        return dataset.load_data_list()

    return trained


@pytest.mark.parametrize('tool', TOOLS)
def test_each_instance_of_a_tool_trains_on_its_image(trained, tool):
    first, second = trained(TOOLS[tool]())

    assert first['img_id'] != second['img_id']
    assert first['id'] != second['id']
    for sample in (first, second):
        points = [POINTS[0:2], POINTS[3:5], POINTS[6:8]]
        assert sample['keypoints'][0].tolist() == points
        assert sample['keypoints_visible'].tolist() == [[1, 1, 1]]
        left, top, right, bottom = sample['bbox'][0]
        assert left <= 16
        assert right >= 32
        assert top <= 10
        assert bottom >= 29
        assert sample['area'] > 0


def test_boxes_and_areas_that_are_text_are_those_numbers(read):
    found = read(roboflow())

    assert found.content['annotations'][1]['bbox'] == [10, 8, 30, 30.5]
    assert found.content['annotations'][1]['area'] == 915
    assert found.changes['numbers written as text'] == 2


def test_points_that_the_tool_only_counts_are_read_in_their_order(read):
    assert read(roboflow(UNNAMED)).trained == 2


@pytest.mark.parametrize(
    ('flags', 'visible'),
    [([True, False, True], [2, 0, 2]), ([True, 1, 0], [2, 1, 0])],
)
def test_visibilities_may_be_true_and_false(read, flags, visible):
    points = [12, 12, flags[0], 20, 20, flags[1], 28, 25, flags[2]]
    found = read(coco(annotation(1, keypoints=points)))

    assert found.content['annotations'][0]['keypoints'][2::3] == visible
    assert found.changes['visibilities written as true or false'] == 1


@pytest.mark.parametrize('text', ['1_000', 'ten', '', '0x10'])
def test_other_text_is_no_number(read, text):
    found = read(coco(annotation(1, keypoints=[text, 12, 2, 20, 20, 2, 28, 25, 1])))

    assert found.rejected == {'have keypoints that are not numbers': [1]}


@pytest.mark.parametrize(
    'names', [['nose', 'left_ear', 'right_ear'], ['tail', 'nose', 'paw']]
)
def test_instances_of_another_skeleton_of_equal_length_do_not_train(read, names):
    content = coco(annotation(1), annotation(2, 2, category_id=7))
    content['categories'].append(dict(id=7, name='cat', keypoints=names))

    found = read(content)

    assert found.trained == 1
    assert found.rejected == {
        'are of a category with other keypoints than the config': [2]
    }


def test_the_configs_names_in_another_order_are_refused_in_any_category(read):
    content = coco(annotation(1), annotation(2, 2, category_id=7))
    swapped = ['nose', 'right_eye', 'left_eye']
    content['categories'].append(dict(id=7, name='child', keypoints=swapped))

    with pytest.raises(UserError, match='the order differs'):
        read(content)


def test_a_category_that_nothing_belongs_to_does_not_matter(read):
    content = coco(annotation(1))
    swapped = ['nose', 'right_eye', 'left_eye']
    content['categories'].append(dict(id=7, name='child', keypoints=swapped))

    assert read(content).summary().endswith('1 of 1 annotations train')


def test_where_no_category_is_the_configs_the_names_are_said(read):
    content = coco(annotation(1), annotation(2, 2, category_id=7))
    content['categories'][0]['keypoints'] = ['snout', 'paw', 'tail']
    content['categories'].append(dict(id=7, name='cat', keypoints=['a', 'b', 'c']))

    found = read(content)

    assert found.trained == 2
    assert 'names of keypoints are not those of the config' in found.summary()


def test_labels_in_another_order_say_nothing_of_label_studios_points(read):
    with pytest.raises(UserError, match=r'that of model_index.*import_labels\.py'):
        read(label_studio(('right_eye', 'nose', 'left_eye')))


def test_label_studios_own_json_is_recommended(read):
    assert 'all instances of an image as one' in read(label_studio()).summary()


def test_boxes_that_end_at_the_points_are_said(read):
    hull = dict(keypoints=POINTS, bbox=[16, 10, 16, 19])
    number = [annotation(i, 1 + i % 3, **hull) for i in range(1, 6)]
    sentence = '5 boxes end at the outermost of their visible keypoints'

    assert sentence in read(coco(*number)).summary()

    for one in number:
        del one['bbox']
    found = read(coco(*number))

    assert sentence not in found.summary()
    left, top, width, height = found.content['annotations'][0]['bbox']
    assert left < 16
    assert top < 10
    assert left + width > 32
    assert top + height > 29


def test_categories_may_be_absent(tmp_path):
    others, doubts = check_categories(tmp_path, dict(annotations=[]), NAMES)

    assert (others, doubts) == (frozenset(), [])
