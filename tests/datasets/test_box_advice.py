"""The advice of sentences about boxes: following it resolves the situation."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.datasets.box_providers import FullImageBoxes, build_box_provider
from mmdistill.datasets.box_tracker import build_box_tracker
from mmdistill.datasets.boxes import Boxes, read_boxes
from mmdistill.datasets.sources.image_list import ImageList
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import UserError
from mmdistill.models.box_detector import category_ids
from tests.helpers.detections import KNOWN, detection
from tests.helpers.media import write_video  # noqa: F401
from tests.helpers.workshop import call_tool

CLASSES = ('person', 'bicycle', 'cat', 'dog')


def refusal(run: Callable[[], object], word: str) -> str:
    with pytest.raises(UserError, match=word) as caught:
        run()
    return str(caught.value)


@pytest.fixture
def read(tmp_path):
    """Read detections from a file."""

    def read(detections: Any, images: ImageList = KNOWN, **options: Any) -> Boxes:
        (tmp_path / 'boxes.json').write_text(json.dumps(detections))
        return read_boxes(tmp_path / 'boxes.json', images, **options)

    return read


def test_the_categories_that_a_file_has_can_be_chosen(read):
    entries = [detection(category_id=c) for c in (18, 44)]
    sentence = refusal(lambda: read(entries, category_ids=[1]), 'of the categories')
    (held,) = re.findall(r'it has those of (\[.*?\])', sentence)
    (key,) = re.findall(r'set distill\.unlabeled\.(\w+)$', sentence)

    boxes = read(entries, **{key: ast.literal_eval(held)})
    assert boxes.category_ids.tolist() == [18, 44]


def test_percentages_are_divided(read):
    sentence = refusal(lambda: read([detection(score=87.5)]), 'got 87.5; divide')
    (divisor,) = re.findall(r'divide percentages by (\d+)$', sentence)

    assert read([detection(score=87.5 / int(divisor))]).scores.tolist() == [0.875]


def test_logits_become_probabilities(read):
    sentence = refusal(lambda: read([detection(score=-2.0)]), 'got -2.0; of logits')
    assert sentence.endswith('take the sigmoid')

    boxes = read([detection(score=1 / (1 + exp(2)))])
    assert boxes.scores == pytest.approx([0.1192], abs=1e-4)


def test_boxes_of_annotations_are_made_by_the_tool(tmp_path, read):
    images = [
        dict(id=i, file_name=path) for i, path in zip((1, 2, 3), 'abc', strict=True)
    ]
    annotations = [dict(id=1, image_id=2, category_id=1, bbox=[1, 2, 3, 4])]
    content = dict(images=images, annotations=annotations)
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    sentence = refusal(lambda: read_boxes(tmp_path / 'coco.json', KNOWN), 'got a dict')
    (name,) = re.findall(r'tools/(\w+)\.py makes one', sentence)

    made = tmp_path / 'made.json'
    assert call_tool(name, str(tmp_path / 'coco.json'), str(made)) == 0
    assert read_boxes(made, KNOWN).bboxes.tolist() == [[1, 2, 4, 6]]


def test_boxes_have_the_form_that_is_named(read):
    flat = [detection(bbox=(5, 5, 0, 0)), detection(bbox=(5, 6, 7, 0))]
    sentence = refusal(lambda: read(flat), 'has an extent')
    assert sentence.endswith('boxes are [x, y, width, height]')

    x, y, width, height = 5, 6, 7, 8
    assert read([detection(bbox=(x, y, width, height))]).bboxes.tolist() == [
        [x, y, x + width, y + height]
    ]


@pytest.mark.parametrize(
    'images', [KNOWN, ImageList(['a.jpg', 'b.jpg', 'c.jpg'])], ids=['ids', 'paths']
)
def test_images_are_called_as_the_sentence_calls_them(read, images):
    sentence = refusal(lambda: read([detection('x.jpg')], images), 'of an unlabeled')
    (name,) = re.findall(r'they are called (.*) and the like$', sentence)

    assert len(read([detection(ast.literal_eval(name))], images).scores) == 1


def recipe_of(section: dict) -> Recipe:
    whole = dict(teacher={}, store='labels', **section)
    return Recipe.of(Config(dict(distill=whole)))


SECTION = dict(
    unlabeled=dict(bbox_file='boxes.json', detections='boxes'),
    detector=dict(config='c.py'),
)


@pytest.mark.parametrize('stays', [0, 1, 2])
def test_one_of_the_keys_that_are_named_stays(stays):
    section = copy.deepcopy(SECTION)
    sentence = refusal(lambda: recipe_of(section), 'boxes are given by')
    (got,) = re.findall('got (.*)$', sentence)
    keys = got.split(' and ')
    assert len(keys) == 3
    for key in keys[:stays] + keys[stays + 1 :]:
        *above, last = key.split('.')
        (section[above[0]] if above else section).pop(last)

    recipe_of(section)
    assert section.get('detector') or section['unlabeled']


@pytest.fixture
def frames(tmp_path, write_video) -> SourceList:  # noqa: F811
    write_video(tmp_path / 'v.mp4', range(3))
    return SourceList(build_sources([dict(type='VideoSource', path='v.mp4')], tmp_path))


def test_boxes_are_given_or_followed(tmp_path, frames):
    name = str(tmp_path / 'boxes.json')
    (tmp_path / 'boxes.json').write_text(json.dumps([detection('v.mp4#000001')]))
    refusal(
        lambda: build_box_provider(frames, name, None, None, {}),
        f'given or followed, got follow and {name} too',
    )

    assert build_box_provider(frames, None, None, None, {}).tracker is not None
    assert build_box_provider(frames, name, None, None, None).count(np.arange(3)) == 1


def test_without_follow_images_are_boxes(tmp_path, write_images):
    write_images(tmp_path / 'a', '0.png')
    configs = [dict(type='FolderSource', path='a')]
    images = SourceList(build_sources(configs, tmp_path))
    sentence = refusal(
        lambda: build_box_provider(images, None, None, None, {}),
        'source of consecutive frames',
    )
    assert sentence.endswith('without follow each image is one box')

    assert build_box_provider(images, None, None, None, None) == FullImageBoxes()


def test_what_follow_takes_is_taken():
    sentence = refusal(lambda: build_box_tracker(dict(margin=2)), 'follow takes')
    keys = re.findall(r'takes (\w+) and (\w+),', sentence)[0]
    held = build_box_tracker(dict.fromkeys(keys[:1], 2) | dict.fromkeys(keys[1:], 0.5))
    assert (held.padding, held.score_thr) == (2, 0.5)

    sentence = refusal(lambda: build_box_tracker(dict(padding=0.5)), 'at least')
    (least,) = re.findall(r'follow\.padding must be at least (\d+)', sentence)
    assert build_box_tracker(dict(padding=int(least))).padding == 1

    sentence = refusal(lambda: build_box_tracker(dict(score_thr=1)), 'to below 1')
    (least,) = re.findall(r'follow\.score_thr must be from (\d+) to', sentence)
    assert build_box_tracker(dict(score_thr=int(least))).score_thr == 0


def test_a_class_is_one_that_the_detector_has():
    sentence = refusal(lambda: category_ids(CLASSES, ['mouse'], {}), 'no class')
    names = re.findall('it has (.*)$', sentence)[0].split(', ')

    assert list(category_ids(CLASSES, names, {})) == list(CLASSES)


def test_ids_of_categories_are_stated():
    labeled = dict(zebra=3, dog=1)
    sentence = refusal(
        lambda: category_ids(CLASSES, ('cat', 'dog'), labeled), 'state the id of each'
    )
    (stated,) = re.findall(r'distill\.detector\.categories=(\{.*\})$', sentence)
    wanted = ast.literal_eval(stated.replace('ID', '9')) | dict(dog=1)

    assert category_ids(CLASSES, wanted, labeled) == dict(cat=9, dog=1)
