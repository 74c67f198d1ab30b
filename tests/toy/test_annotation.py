import json

import numpy as np
import pytest

from mmdistill.toy import write_toy_data
from mmdistill.toy.annotation import image_record, instance_record
from mmdistill.toy.scene import Figure


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    root = tmp_path_factory.mktemp('annotation') / 'toy'
    write_toy_data(root, labeled=1, unlabeled=2, val=8, seed=0)
    return root


@pytest.fixture(scope='module')
def truth(toy):
    return json.loads((toy / 'annotations/val.json').read_text())


def test_image_record_names_the_file_by_its_id():
    assert image_record(7, (192, 256, 3)) == {
        'id': 7,
        'file_name': '000007.jpg',
        'height': 192,
        'width': 256,
    }


def test_joints_out_of_the_image_are_zeros_and_not_counted():
    visible = np.array([0, 1] + [2] * 15)
    figure = Figure(np.full((17, 2), 5.25), visible, np.array([1, 2, 3, 4]), 9)
    record = instance_record(3, 0, figure)
    assert record['keypoints'][:6] == [0, 0, 0, 5.25, 5.25, 1]
    assert record['num_keypoints'] == 16


def test_boxes_lie_in_their_images(truth):
    sizes = {
        image['id']: (image['width'], image['height']) for image in truth['images']
    }
    for each in truth['annotations']:
        x, y, width, height = each['bbox']
        assert 0 <= x < x + width <= sizes[each['image_id']][0]
        assert 0 <= y < y + height <= sizes[each['image_id']][1]
        assert 0 < each['area'] <= width * height


def test_instance_ids_are_unique(truth):
    ids = [each['id'] for each in truth['annotations']]
    assert len(set(ids)) == len(ids) > 5


def test_the_truth_scores_one_hundred_in_xtcocotools(toy, truth):
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    coco = COCO(str(toy / 'annotations/val.json'))
    results = [
        {key: each[key] for key in ('image_id', 'category_id', 'keypoints')}
        | {'score': 1.0}
        for each in truth['annotations']
    ]
    sigmas = np.full(17, 0.05)
    evaluation = COCOeval(coco, coco.loadRes(results), 'keypoints', sigmas)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_mmpose_reads_every_instance(toy, truth):
    from mmpose.datasets import CocoDataset

    dataset = CocoDataset(
        data_root=str(toy),
        ann_file='annotations/val.json',
        data_prefix={'img': 'images/val/'},
        pipeline=[],
    )
    assert len(dataset) == len(truth['annotations'])


def test_mmdet_lists_the_unlabeled_images(toy):
    from mmdet.datasets import CocoDataset

    dataset = CocoDataset(
        data_root=str(toy),
        ann_file='annotations/unlabeled.json',
        data_prefix={'img': 'images/unlabeled/'},
        metainfo={'classes': ('person',)},
        test_mode=True,
        pipeline=[],
    )
    assert len(dataset) == 2
