"""Folds of a labeled set."""

from __future__ import annotations

import json

import pytest

from mmdistill.audits.folds import write_folds
from mmdistill.errors import UserError


@pytest.fixture
def labeled(tmp_path):
    """Seven images with two instances each."""
    images = [dict(id=10 * i, file_name=f'{i}.png') for i in range(7)]
    instances = [dict(id=i, image_id=10 * (i // 2)) for i in range(14)]
    path = tmp_path / 'train.json'
    content = dict(images=images, annotations=instances, categories=[dict(id=1)])
    path.write_text(json.dumps(content))
    return path


def ids(path, key='images'):
    return {entry['id'] for entry in json.loads(path.read_text())[key]}


@pytest.mark.parametrize('num_folds', [2, 3, 7])
def test_every_image_is_held_out_once(labeled, tmp_path, num_folds):
    folds = write_folds(labeled, num_folds, tmp_path / 'folds')
    held_out = [image for _, path in folds for image in ids(path)]
    assert sorted(held_out) == sorted(ids(labeled))
    sizes = [len(ids(path)) for _, path in folds]
    assert max(sizes) - min(sizes) <= 1


def test_the_rest_is_all_that_is_not_held_out(labeled, tmp_path):
    for rest, held_out in write_folds(labeled, 3, tmp_path / 'folds'):
        assert ids(rest) | ids(held_out) == ids(labeled)
        assert not ids(rest) & ids(held_out)
        assert not ids(rest, 'annotations') & ids(held_out, 'annotations')


def test_instances_go_with_their_images(labeled, tmp_path):
    for pair in write_folds(labeled, 3, tmp_path / 'folds'):
        for path in pair:
            content = json.loads(path.read_text())
            owners = [entry['image_id'] for entry in content['annotations']]
            assert sorted(owners) == sorted([*ids(path)] * 2)
            assert content['categories'] == [dict(id=1)]


def test_the_same_folds_come_again(labeled, tmp_path):
    first = write_folds(labeled, 3, tmp_path / 'a')
    second = write_folds(labeled, 3, tmp_path / 'b')
    for old, new in zip(first, second, strict=True):
        assert [p.read_bytes() for p in old] == [p.read_bytes() for p in new]


@pytest.mark.parametrize('num_folds', [-1, 1, 8])
def test_other_numbers_of_folds_are_refused(labeled, tmp_path, num_folds):
    with pytest.raises(UserError, match=f'at most the 7 images .* got {num_folds}'):
        write_folds(labeled, num_folds, tmp_path / 'folds')
