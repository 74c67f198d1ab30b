"""Enlarged images keep their keypoints; both ways of decoding are measured."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

from mmdistill.datasets import UnlabeledDataset
from mmdistill.functional.reduced_decoding import CropSampling

SPOTS = [(12, 7), (30, 22)]


@pytest.fixture
def benchmark(load):
    return load('reduced_decoding')


@pytest.fixture
def config(tmp_path, coco_metainfo):
    """A validation set of two images, each with a spot at its only keypoint."""
    init_default_scope('mmpose')
    (tmp_path / 'val').mkdir()
    images, annotations = [], []
    for number, (x, y) in enumerate(SPOTS):
        pixels = np.zeros((32, 40, 3), np.uint8)
        pixels[y, x] = 255
        cv2.imwrite(str(tmp_path / f'val/{number}.png'), pixels)
        images.append(dict(id=number, file_name=f'{number}.png', width=40, height=32))
        keypoints = [x, y, 2, *[0] * 48]
        annotations.append(
            dict(
                id=number + 1,
                image_id=number,
                category_id=1,
                keypoints=keypoints,
                num_keypoints=1,
                bbox=[2, 3, 36, 24],
                area=800,
                iscrowd=0,
            )
        )
    categories = [dict(id=1, name='person', keypoints=[], skeleton=[])]
    truth = dict(images=images, annotations=annotations, categories=categories)
    (tmp_path / 'val.json').write_text(json.dumps(truth))
    dataset = dict(
        type='CocoDataset',
        metainfo=coco_metainfo,
        ann_file=str(tmp_path / 'val.json'),
        data_prefix=dict(img=str(tmp_path / 'val')),
        test_mode=True,
    )
    return Config(dict(val_dataloader=dict(dataset=dataset)))


def test_keypoints_lie_where_their_spots_are(benchmark, config, tmp_path):
    labeled = benchmark.enlarge(config, tmp_path, factor=6, count=5)

    assert [image.name for image in labeled] == ['0.jpg', '1.jpg']
    for image in labeled:
        gray = cv2.imread(str(tmp_path / image.name)).astype(float)[..., 0]
        assert gray.shape == (192, 240)
        gray[gray < 100] = 0
        y, x = np.indices(gray.shape)
        center = [(x * gray).sum() / gray.sum(), (y * gray).sum() / gray.sum()]
        assert image.visible.tolist() == [True, *[False] * 16]
        np.testing.assert_allclose(image.keypoints[0], center, atol=0.1)
        assert image.box.tolist() == [12, 18, 216, 144]


class Right:
    """A teacher that knows the truth, but for a shift."""

    def __init__(self, labeled, shift):
        self.truth = {image.name: image.keypoints + shift for image in labeled}

    def test_step(self, batch):
        for sample in batch['data_samples']:
            keypoints = self.truth[sample.path][None]
            sample.pred_instances = InstanceData(keypoints=keypoints)


def test_errors_are_shares_of_the_longer_side(benchmark, config, tmp_path):
    (tmp_path / 'images').mkdir()
    labeled = benchmark.enlarge(config, tmp_path / 'images', factor=6, count=5)
    metainfo = config.val_dataloader.dataset.metainfo.to_dict()
    dataset = UnlabeledDataset(metainfo, str(tmp_path / 'images'))
    steps = np.array([[[1 / 40, 0.0], [0.0, 1 / 32]]])
    # 15 % of 216 pixels.
    teacher = Right(labeled, shift=[32.4, 0])

    whole = benchmark.evaluate(teacher, dataset, labeled)
    dataset.decode_reduced(CropSampling(padding=1.0, aspect_ratio=1.25, steps=steps))
    reduced = benchmark.evaluate(teacher, dataset, labeled)

    for figures, reduction in ((whole, 1), (reduced, 2)):
        assert figures['reduction'] == reduction
        assert figures['reading_ms'] > 0
        expected = {'PCK@0.2': 1, 'PCK@0.1': 0, 'PCK@0.05': 0}
        assert {name: figures[name] for name in expected} == expected
