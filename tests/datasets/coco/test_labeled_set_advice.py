"""The advice of sentences about labeled jsons: following it lets them train."""

from __future__ import annotations

import ast
import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.metainfo import keypoint_names
from mmdistill.datasets.coco.annotations import read_annotations
from mmdistill.datasets.coco.images import (
    check_other_form,
    check_sizes,
    find_images,
    size_of_image,
)
from mmdistill.errors import UserError
from tests.helpers.annotations import INFO, NAMES, annotation, coco

SIZE = (64, 48)
PREFIX = r"set data_prefix=dict\(img='([^']+)'\)$"


def refused(function: Callable, *arguments: Any, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments, **settings)
    return str(caught.value)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / 'labeled.json'


def write(path: Path, content: dict) -> Path:
    path.write_text(json.dumps(content))
    return path


def image_at(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros(size[::-1], np.uint8))


# Keypoint names.


@pytest.mark.parametrize(
    'names',
    [
        ['nose', 'right_eye', 'left_eye'],
        ['left_eye', 'nose', 'right_eye'],
        ['Left Eye', 'Right Eye', 'Nose'],
    ],
)
def test_metainfo_in_the_order_of_the_json_fits_it(path, names):
    content = coco(annotation(1))
    content['categories'][0]['keypoints'] = names
    sentence = refused(read_annotations, write(path, content), NAMES)
    key, listed = re.findall(
        r'metainfo with (\w+) in the order of the json, (\[.*\])$', sentence
    )[0]

    info = {
        number: dict(name=name, id=number, color=[0, 0, 0], type='', swap='')
        for number, name in enumerate(ast.literal_eval(listed))
    }
    metainfo = {
        'dataset_name': 'mine',
        key: info,
        'skeleton_info': {},
        'joint_weights': [1.0] * 3,
        'sigmas': [0.05] * 3,
    }
    expected = keypoint_names(parse_pose_metainfo(metainfo))

    assert read_annotations(path, expected).trained == 1


# Folders of images.


class Labeled:
    """A labeled set as its config states it.

    Args:
        ann_file: Its json.
        root: `data_root`.
        img: The folder of `data_prefix`.
    """

    def __init__(self, ann_file: Path, root: Path | str = '', img: str = '') -> None:
        self.ann_file, self.root, self.img = ann_file, root, img

    def find(self) -> None:
        """Look for its images where MMPose joins their names."""
        found = read_annotations(self.ann_file, NAMES)
        find_images('labeled', found, Path(self.root, self.img))


@pytest.fixture
def names(path):
    """Write a json whose images have these names."""

    def names(*names: str) -> Path:
        content = coco(*(annotation(i, i) for i in (1, 2, 3)))
        for image, name in zip(content['images'], names, strict=True):
            image['file_name'] = name
        return write(path, content)

    return names


THREE = ('a.png', 'b.png', 'c.png')


@pytest.mark.parametrize('relative', [True, False])
def test_a_folder_above_is_set(names, tmp_path, monkeypatch, relative):
    monkeypatch.chdir(tmp_path)
    root = Path('data') if relative else tmp_path / 'data'
    for name in THREE:
        image_at(tmp_path / 'data/images' / name)
    labeled = Labeled(names(*(f'images/{name}' for name in THREE)), root, 'images')
    sentence = refused(labeled.find)
    (labeled.img,) = re.findall(PREFIX, sentence)

    labeled.find()
    # MMPose joins them as well.
    dataset = CocoDataset(
        str(labeled.ann_file),
        data_root=str(root),
        data_prefix=dict(img=labeled.img),
        metainfo=copy.deepcopy(INFO),
    )
    assert [Path(dataset[i]['img_path']).is_file() for i in range(3)] == [True] * 3


def test_what_is_before_a_name_is_taken_off(names, tmp_path):
    for name in THREE:
        image_at(tmp_path / 'images' / name)
    old = [f'train/2017/{name}' for name in THREE]
    labeled = Labeled(names(*old), tmp_path, 'images')
    there, before = re.findall(
        r'there is (\S+), without (\S+)/ before it: take that off the file names$',
        refused(labeled.find),
    )[0]
    assert there == THREE[0]

    names(*(name.removeprefix(f'{before}/') for name in old))

    labeled.find()


@pytest.mark.parametrize('renamed', ['files', 'names'])
def test_letters_are_written_alike(names, tmp_path, renamed):
    for name in THREE:
        image_at(tmp_path / 'images' / name)
    stated = [name.upper() for name in THREE]
    labeled = Labeled(names(*stated), tmp_path, 'images')
    there = re.findall(
        r'there is (\S+), whose letters differ in case: rename the files or correct '
        r'the file names in the json$',
        refused(labeled.find),
    )[0]
    assert there == THREE[0]

    if renamed == 'files':
        for name, other in zip(THREE, stated, strict=True):
            (tmp_path / 'images' / name).rename(tmp_path / 'images' / other)
    else:
        names(*THREE)

    labeled.find()


def test_a_folder_that_exists_is_set(names, tmp_path):
    for name in THREE:
        image_at(tmp_path / 'pictures' / name)
    labeled = Labeled(names(*THREE), tmp_path, 'gone')
    keys = re.findall(
        r'that folder does not exist: set (\w+) and (\w+) to where they are$',
        refused(labeled.find),
    )
    assert keys == [('data_root', 'data_prefix')]

    labeled.img = 'pictures'

    labeled.find()


@pytest.mark.parametrize('way', ['put', 'set'])
def test_images_that_are_elsewhere_are_put_there_or_named(names, tmp_path, way):
    (tmp_path / 'images').mkdir()
    for name in THREE:
        image_at(tmp_path / 'elsewhere/of/mine' / name)
    labeled = Labeled(names(*THREE), tmp_path, 'images')
    sentence = refused(labeled.find)
    assert re.search(
        r'put them there, or set data_root and data_prefix to where they are$', sentence
    )

    if way == 'put':
        (folder,) = re.findall(r'are not below (\S+)/, the first', sentence)
        for name in THREE:
            shutil.move(tmp_path / 'elsewhere/of/mine' / name, folder)
    else:
        labeled.img = 'elsewhere/of/mine'

    labeled.find()


def test_images_of_another_form_are_found_by_the_same_advice(tmp_path):
    """As MPII's list, which MMPose reads by code of its own."""
    image_at(tmp_path / 'images/a.png')
    path = tmp_path / 'mpii.json'
    path.write_text(json.dumps([dict(image='images/a.png')]))
    sentence = refused(check_other_form, 'labeled', path, tmp_path / 'images')
    (folder,) = re.findall(PREFIX, sentence)

    check_other_form('labeled', path, Path(folder))


# Sizes and ids.


@pytest.mark.parametrize('way', ['json', 'images'])
@pytest.mark.parametrize('size', [(60, 40), SIZE[::-1]])
def test_sizes_are_corrected_on_either_side(path, tmp_path, size, way):
    content = coco(annotation(1))
    for image in content['images']:
        image_at(tmp_path / image['file_name'], size)

    def check() -> None:
        found = read_annotations(write(path, content), NAMES)
        check_sizes(found, lambda name: size_of_image(tmp_path / name))

    sentence = refused(check)
    assert sentence.endswith(
        'correct the sizes in the json, or use the images that were annotated'
    )
    width, height = re.findall(r'the image has (\d+) x (\d+)', sentence)[0]
    for image in content['images']:
        if way == 'json':
            image |= dict(width=int(width), height=int(height))
        else:
            image_at(tmp_path / image['file_name'])

    check()


@pytest.mark.parametrize('ids', [(1, 1), (None, 2), ('one', 'two')])
def test_annotations_have_ids_of_their_own(path, tmp_path, ids):
    content = coco(annotation(ids[0], 1), annotation(ids[1], 2))
    for image in content['images']:
        image_at(tmp_path / image['file_name'])
    sentence = refused(check_other_form, 'labeled', write(path, content), tmp_path)
    assert sentence.endswith('give each annotation an id of its own')

    for number, each in enumerate(content['annotations']):
        each['id'] = number

    check_other_form('labeled', write(path, content), tmp_path)
