"""Lists of unlabeled images."""

from __future__ import annotations

import json
import os

import pytest

from mmdistill.datasets.sources.image_list import images_of_coco, images_of_folder
from mmdistill.errors import UserError


def write_coco(path, images):
    path.write_text(json.dumps({'images': images}))
    return path


def test_a_folder_is_walked_to_the_bottom_in_order(tmp_path, write_images):
    write_images(tmp_path, 'b.png', 'a/z.jpg', 'a/b/c.PNG', 'A.jpeg')
    (tmp_path / 'notes.txt').write_text('no image')
    expected = ['A.jpeg', 'a/b/c.PNG', 'a/z.jpg', 'b.png']
    assert images_of_folder(tmp_path).paths == expected


def test_a_linked_folder_is_followed(tmp_path, write_images):
    write_images(tmp_path / 'elsewhere', 'x.png')
    write_images(tmp_path / 'root', 'a.png')
    (tmp_path / 'root/link').symlink_to(tmp_path / 'elsewhere')
    assert images_of_folder(tmp_path / 'root').paths == ['a.png', 'link/x.png']


def test_a_loop_of_links_ends(tmp_path, write_images):
    write_images(tmp_path / 'root', 'a.png', 'sub/b.png')
    (tmp_path / 'root/sub/back').symlink_to(tmp_path / 'root')
    assert images_of_folder(tmp_path / 'root').paths == ['a.png', 'sub/b.png']


def test_a_folder_that_two_links_lead_to_comes_once(tmp_path, write_images):
    write_images(tmp_path / 'elsewhere', 'x.png')
    (tmp_path / 'root').mkdir()
    for name in ('two', 'one'):
        (tmp_path / 'root' / name).symlink_to(tmp_path / 'elsewhere')
    assert images_of_folder(tmp_path / 'root').paths == ['one/x.png']


@pytest.mark.parametrize('name', ['a/000000000139.jpg', '000000000139', 139])
def test_a_detection_may_call_an_image_by_path_stem_or_number(
    tmp_path, write_images, name
):
    write_images(tmp_path, 'a/000000000138.jpg', 'a/000000000139.jpg')
    assert images_of_folder(tmp_path).numbers[name] == 1


def test_a_name_that_two_images_share_names_neither(tmp_path, write_images):
    write_images(tmp_path, 'a/0001.jpg', 'b/0001.jpg', 'b/1.jpg')
    numbers = images_of_folder(tmp_path).numbers
    assert '0001' not in numbers
    assert 1 not in numbers
    assert numbers['b/0001.jpg'] == 1


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r'the image folder .*nowhere does not exist'):
        images_of_folder(tmp_path / 'nowhere')


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / 'notes.txt').write_text('no image')
    with pytest.raises(UserError, match=r'holds no image \(\.bmp, \.dib, \.jfif'):
        images_of_folder(tmp_path)


@pytest.mark.parametrize('name', ['two words.png', 'zwölf 十二 🙂.png', 'a\nb.png'])
def test_any_other_name_is_unchanged(tmp_path, write_images, name):
    write_images(tmp_path, 'a.png')
    (tmp_path / 'a.png').rename(tmp_path / name)
    assert images_of_folder(tmp_path).paths == [name]


def test_coco_images_come_by_id(tmp_path):
    infos = [dict(id=9, file_name='z.jpg'), dict(id=4, file_name='y.jpg')]
    images = images_of_coco(write_coco(tmp_path / 'list.json', infos))
    assert images.paths == ['y.jpg', 'z.jpg']
    assert images.numbers == {4: 0, 9: 1, 'y.jpg': 0, 'z.jpg': 1}


def test_coco_sizes_are_known_when_all_are_given(tmp_path):
    infos = [
        dict(id=2, file_name='b.jpg', width=30, height=20),
        dict(id=1, file_name='a.jpg', width=50, height=40),
    ]
    images = images_of_coco(write_coco(tmp_path / 'list.json', infos))
    assert images.sizes.tolist() == [[50, 40], [30, 20]]


def test_coco_sizes_are_unknown_when_one_is_not_given(tmp_path):
    infos = [dict(id=1, file_name='a', width=5, height=4), dict(id=2, file_name='b')]
    assert images_of_coco(write_coco(tmp_path / 'list.json', infos)).sizes is None


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ([], 'must be a COCO json'),
        ({}, "must be a COCO json .*missing: 'images'"),
        ({'images': [{'id': 1}]}, "must be a COCO json .*missing: 'file_name'"),
        ({'images': [{'file_name': 'a'}]}, "must be a COCO json .*missing: 'id'"),
        ({'images': []}, 'lists no image'),
        (
            {'images': [{'id': 1, 'file_name': name} for name in 'ab']},
            'names an image id twice: 1',
        ),
        (
            {'images': [{'id': i, 'file_name': 'a'} for i in (1, 2)]},
            'names the file twice: a',
        ),
    ],
)
def test_a_json_that_is_no_list_of_images_is_refused(tmp_path, content, sentence):
    (tmp_path / 'list.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match=sentence):
        images_of_coco(tmp_path / 'list.json')


@pytest.mark.parametrize('value', [None, 5, 0.5, ['a.jpg'], {}, True, ''])
def test_a_file_name_that_is_no_text_is_a_sentence(tmp_path, value):
    images = [dict(id=1, file_name='a.jpg'), dict(id=2, file_name=value)]
    with pytest.raises(UserError, match=r'a text as file_name; 1 of 2 .*id.: 2'):
        images_of_coco(write_coco(tmp_path / 'list.json', images))


@pytest.mark.parametrize('value', [None, 0.5, [1], {}, True])
def test_an_id_that_is_no_number_and_no_text_is_a_sentence(tmp_path, value):
    images = [dict(id=1, file_name='a.jpg'), dict(id=value, file_name='b.jpg')]
    with pytest.raises(UserError, match='a whole number or a text as id; 1 of 2'):
        images_of_coco(write_coco(tmp_path / 'list.json', images))


def test_ids_may_be_numbers_and_texts(tmp_path):
    images = [dict(id=one, file_name=f'{one}.jpg') for one in ('b', 10, 'a', 9)]
    listed = images_of_coco(write_coco(tmp_path / 'list.json', images))
    assert listed.paths == ['9.jpg', '10.jpg', 'a.jpg', 'b.jpg']
    assert [listed.numbers[one] for one in (9, 10, 'a', 'b')] == [0, 1, 2, 3]


@pytest.mark.parametrize('side', [None, 'wide', -1, 0, 0.5, True, 2**40, [3]])
def test_a_size_that_is_none_is_not_known(tmp_path, side):
    images = [dict(id=1, file_name='a', width=side, height=4)]
    assert images_of_coco(write_coco(tmp_path / 'list.json', images)).sizes is None


@pytest.mark.parametrize('images', [None, 5, 'a', {'1': {}}, [1], ['a'], [None]])
def test_images_that_are_no_list_of_dicts_are_a_sentence(tmp_path, images):
    with pytest.raises(UserError, match='must be a COCO json whose images have'):
        images_of_coco(write_coco(tmp_path / 'list.json', images))


def test_a_list_that_is_no_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / 'list.json')
    with pytest.raises(UserError, match='is not a file'):
        images_of_coco(tmp_path / 'list.json')
