"""Labeled sets: what is read of them, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmdistill.errors import DataError
from mmdistill.recipes.labeled_set import folder_of_images, read_labeled_set
from tests.helpers.recipe_data import (
    MOUSE,
    change_json,
    read_labels,
    write_labels,
)


def test_statistics_are_those_of_the_annotations(tmp_path):
    labeled = read_labels(tmp_path, angles=[0, 90, 0, 0])
    content = json.loads((tmp_path / 'labels.json').read_text())
    boxes = np.array([each['bbox'] for each in content['annotations']])

    assert labeled.names == MOUSE
    assert labeled.category == 'mouse'
    assert labeled.img_root == tmp_path / 'images'
    assert len(labeled) == len(labeled.files) == 4
    assert labeled.median_side == np.median(boxes[:, 2:].max(axis=1))
    assert labeled.aspect == np.median(boxes[:, 2] / boxes[:, 3])
    assert labeled.wide_share == 0.25
    assert labeled.cover == pytest.approx(np.median(boxes[:, 2] * boxes[:, 3]) / 19200)
    assert labeled.median_size == (160, 120)
    assert labeled.most_on_an_image == 1
    assert labeled.turned_share == 0.25


def test_images_without_instances_count(tmp_path):
    path = write_labels(tmp_path)
    annotations = json.loads(path.read_text())['annotations']
    second = {**annotations[0], 'id': 99}
    change_json(path, annotations=[annotations[0], second])

    labeled = read_labeled_set(path, 'labeled')

    assert labeled.most_on_an_image == 2
    assert labeled.trained_images == (0, 0)


@pytest.mark.parametrize(
    'place', ['labels.json', 'images/labels.json', 'annotations/person_images.json']
)
def test_images_are_looked_for_beside_the_json(tmp_path, place, monkeypatch):
    written = write_labels(tmp_path / 'data')
    path = tmp_path / 'data' / place
    path.parent.mkdir(exist_ok=True)
    written.rename(path)
    monkeypatch.chdir(tmp_path)

    labeled = read_labeled_set(path.relative_to(tmp_path), 'labeled')

    assert str(labeled.img_root) == 'data/images'


def test_of_folders_of_equal_names_the_one_called_like_the_json_is_taken(tmp_path):
    for name in ('train', 'val'):
        write_labels(tmp_path / name)
        (tmp_path / 'annotations').mkdir(exist_ok=True)
        (tmp_path / name / 'labels.json').rename(tmp_path / f'annotations/{name}.json')
        (tmp_path / name / 'images').rename(tmp_path / name / name)
    (tmp_path / 'images').mkdir()
    for name in ('train', 'val'):
        (tmp_path / name / name).rename(tmp_path / 'images' / name)
    for name in ('train', 'val'):
        labeled = read_labeled_set(tmp_path / f'annotations/{name}.json', 'labeled')
        assert labeled.img_root == tmp_path / 'images' / name


def test_images_of_another_layout_are_not_found(tmp_path):
    assert folder_of_images(write_labels(tmp_path), 'none.png') is None


def test_names_can_be_given_where_there_are_none(tmp_path):
    path = write_labels(tmp_path, category=dict(keypoints=[]))
    names = ('a', 'b', 'c', 'd')
    assert read_labeled_set(path, 'labeled', keypoints=names).names == names


def one_missing(path):
    """Miss an annotated image; one without annotations may be missing."""
    images = json.loads(path.read_text())['images']
    change_json(path, images=[*images, dict(images[0], id=99, file_name='none.png')])
    (path.parent / 'images/001.png').unlink()


def moved(path):
    (path.parent / 'images').rename(path.parent / 'photos')


def another_category(path):
    categories = json.loads(path.read_text())['categories']
    other = dict(id=2, name='rat', keypoints=['nose'])
    annotations = json.loads(path.read_text())['annotations']
    annotations[0]['category_id'] = 2
    change_json(path, categories=[*categories, other], annotations=annotations)


def names(*given):
    category = dict(id=1, name='mouse', keypoints=list(given))
    return lambda path: change_json(path, categories=[category])


BAD = {
    'no image': (
        lambda path: change_json(path, images=[], annotations=[]),
        'lists no image',
    ),
    'no annotation': (
        lambda path: change_json(path, annotations=[], categories=[]),
        'has no annotation with keypoints, got 0 annotations',
    ),
    'nothing to train on': (
        lambda path: change_json(path, annotations=[]),
        'has no instance to train on: .* 0 of 0 annotations train',
    ),
    'no names': (names(), 'name no keypoints, its annotations have 4 each'),
    'names that are numbers': (names(1, 2, 3, 4), 'must have texts as names, got'),
    'a name twice': (names('a', 'b', 'a', 'c'), "'a' is there twice"),
    'other keypoints': (another_category, 'the categories mouse and rat of .* differ'),
    'moved images': (moved, 'name their folder with --images; the first is 000.png'),
    'one image missing': (
        one_missing,
        '1 of 6 annotated images .* are not below .*images/, the first: 001.png; put '
        'them there',
    ),
    'no json': (lambda path: path.unlink(), 'cannot be read: No such file'),
    'another json': (lambda path: path.write_text('[]'), 'must be a COCO json'),
}


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_be_trained_on_is_refused(tmp_path, case):
    path = write_labels(tmp_path)
    spoil, sentence = BAD[case]
    spoil(path)

    with pytest.raises(DataError, match=sentence):
        read_labeled_set(path, 'labeled')


def test_the_advice_about_moved_images_helps(tmp_path):
    path = write_labels(tmp_path)
    moved(path)
    with pytest.raises(DataError, match='with --images'):
        read_labeled_set(path, 'labeled', tmp_path / 'nowhere')

    assert len(read_labeled_set(path, 'labeled', tmp_path / 'photos')) == 6


def test_the_advice_about_names_helps(tmp_path):
    path = write_labels(tmp_path)
    names()(path)
    with pytest.raises(DataError, match='--keypoints NAME NAME'):
        read_labeled_set(path, 'labeled')

    assert read_labeled_set(path, 'labeled', keypoints=MOUSE).names == MOUSE


def test_the_advice_about_a_wrong_folder_helps(tmp_path):
    path = write_labels(tmp_path)
    (tmp_path / 'other').mkdir()
    with pytest.raises(DataError) as error:
        read_labeled_set(path, 'labeled', tmp_path / 'other')

    folder = str(error.value).partition('--images ')[2]
    assert len(read_labeled_set(path, 'labeled', Path(folder))) == 6


def test_the_advice_about_a_missing_image_helps(tmp_path):
    path = write_labels(tmp_path)
    (path.parent / 'images/001.png').unlink()
    with pytest.raises(DataError, match='take them and their annotations out'):
        read_labeled_set(path, 'labeled')

    content = json.loads(path.read_text())
    change_json(
        path,
        images=[image for image in content['images'] if image['id'] != 1],
        annotations=[a for a in content['annotations'] if a['image_id'] != 1],
    )
    assert len(read_labeled_set(path, 'labeled')) == 5


def test_backslashes_of_windows_are_slashes(tmp_path):
    path = write_labels(tmp_path, files=[f'day/{i}.png' for i in range(6)])
    content = json.loads(path.read_text())
    for image in content['images']:
        image['file_name'] = image['file_name'].replace('/', '\\')
    change_json(path, images=content['images'])

    labeled = read_labeled_set(path, 'labeled', tmp_path / 'images')

    assert all(file.is_file() for file in labeled.files)
