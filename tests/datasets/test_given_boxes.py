"""Which boxes images have, by the arguments of the data set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmdistill.datasets.box_providers import build_box_provider
from mmdistill.datasets.sources import FolderSource
from mmdistill.datasets.sources.source_list import SourceList
from mmdistill.errors import UserError


@pytest.fixture
def images(tmp_path, write_images) -> SourceList:
    """Two images, a.png and b.png."""
    write_images(tmp_path, 'a.png', 'b.png')
    return SourceList([FolderSource(tmp_path, name='')])


@pytest.fixture
def bbox_file(tmp_path) -> str:
    """Two boxes on the second image, of the categories 1 and 2."""
    path = tmp_path / 'boxes.json'
    path.write_text(
        json.dumps(
            [
                dict(image_id='b.png', category_id=k, bbox=[k, 2, 3, 4], score=0.5)
                for k in (1, 2)
            ]
        )
    )
    return str(path)


def test_an_image_without_detections_file_is_its_own_box(images):
    boxes = build_box_provider(images, None, None, None, None)
    found, scores, categories = boxes.of_image(1, 64, 48)
    assert found.tolist() == [[0, 0, 64, 48]]
    assert (scores.tolist(), categories.tolist()) == ([1], [1])
    assert boxes.count(np.arange(2)) == 2
    assert boxes.sha256(np.arange(2)) == boxes.description == 'the whole image'


def test_detections_belong_to_their_image(images, bbox_file):
    boxes = build_box_provider(images, bbox_file, None, None, None)
    assert [len(boxes.of_image(k, 64, 48)[0]) for k in (0, 1)] == [0, 2]
    assert (boxes.count(np.array([0])), boxes.count(np.array([1]))) == (0, 2)
    assert boxes.description == 'detections'


def test_categories_are_told(images, bbox_file):
    boxes = build_box_provider(images, bbox_file, None, (2,), None)
    assert boxes.count(np.arange(2)) == 1
    assert boxes.description == 'detections of the categories [2]'


def test_the_hash_is_that_of_the_images_asked_for(images, bbox_file):
    boxes = build_box_provider(images, bbox_file, None, None, None)
    hashes = [boxes.sha256(np.array(some)) for some in ([0], [1], [0, 1], [1, 0])]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize('given', ['bbox_file', 'detections'])
def test_given_boxes_are_not_followed(images, given):
    places = dict(bbox_file=None, detections=None) | {given: 'here'}
    with pytest.raises(UserError, match='given or followed, got follow and here too'):
        build_box_provider(images, category_ids=None, follow={}, **places)


def test_without_a_video_nothing_is_followed(images):
    with pytest.raises(UserError, match='consecutive frames'):
        build_box_provider(images, None, None, None, {})
