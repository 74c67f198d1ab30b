"""Images through a detector's pipeline."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdistill.datasets import DetectionDataset
from tests.helpers.detecting import PIPELINE


@pytest.fixture
def dataset(tmp_path, write_images, coco_metainfo) -> DetectionDataset:
    """An image, one as thin as a line, and one that is none."""
    write_images(tmp_path, 'a.png')
    cv2.imwrite(str(tmp_path / 'b.png'), np.zeros((1, 400, 3), np.uint8))
    (tmp_path / 'c.png').write_text('no image')
    images = dict(
        type='mmdistill.UnlabeledDataset',
        metainfo=coco_metainfo,
        data_root=str(tmp_path),
    )
    return DetectionDataset(images, PIPELINE)


def test_a_sample_is_what_the_pipeline_makes_of_the_pixels(dataset, tmp_path):
    sample = dataset[0]

    resized = cv2.resize(cv2.imread(str(tmp_path / 'a.png')), (32, 24))
    assert np.array_equal(sample['inputs'].numpy(), resized.transpose(2, 0, 1))
    assert sample['data_samples'].metainfo['scale_factor'] == (0.5, 0.5)


def test_an_image_says_what_it_is(dataset):
    image = dataset[0]['image']

    assert (image.path, image.ori_shape, image.status) == ('a.png', (48, 64), 'ok')


@pytest.mark.parametrize(
    ('number', 'reason'),
    [
        (1, "an image that the detector's pipeline cannot resize"),
        (2, 'not an image: no header that Pillow reads'),
    ],
)
def test_an_image_that_cannot_be_seen_says_why(dataset, number, reason):
    sample = dataset[number]

    assert set(sample) == {'image'}
    assert (sample['image'].status, sample['image'].reason) == ('failed', reason)


def test_it_is_an_unlabeled_set_without_boxes(dataset):
    assert (len(dataset), dataset.paths) == (3, ['a.png', 'b.png', 'c.png'])
    assert dataset.boxes_sha256(np.arange(3)) == ''
    assert dataset.provenance() == dict(max_pixels=2**26)


def test_the_scope_of_before_is_back(dataset):
    from mmengine.registry import DefaultScope

    current = DefaultScope.get_current_instance()
    assert current is None or current.scope_name != 'mmdet'
