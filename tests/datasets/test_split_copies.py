"""Both sides of a split, compared by what their images are."""

from __future__ import annotations

import json
import shutil
from functools import partial

import cv2
import pytest

from mmdistill.datasets.split_rules import listed_images
from mmdistill.datasets.splits import (
    find_copies,
    format_copies,
    images_beside,
    write_split,
)
from mmdistill.errors import UserError
from tests.helpers.media import clouds_of

IMAGES = [dict(id=i, file_name=f'{i}.png') for i in range(6)]


@pytest.fixture
def root(tmp_path):
    """Six pictures: 4 is a copy of 0, 5 shows what 1 shows, in another size."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f'{number}.png'), picture(number))
    shutil.copy(folder / '0.png', folder / '4.png')
    cv2.imwrite(str(folder / '5.png'), cv2.resize(picture(1), (160, 120)))
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/all.json').write_text(json.dumps(dict(images=IMAGES)))
    return tmp_path


def picture(number):
    return cv2.resize(clouds_of(number), (320, 240), interpolation=cv2.INTER_CUBIC)


def split(root, *labeled, **options):
    rule = partial(listed_images, listed=labeled)
    ann_file = root / 'annotations/all.json'
    return write_split(ann_file, rule, root / 'out', 'part', **options)


def test_duplicates_on_both_sides_are_listed(root):
    copies = find_copies(IMAGES, {0, 1, 2}, root / 'images')

    assert copies.compared == 6
    assert copies.pairs == [('4.png', '0.png'), ('5.png', '1.png')]


def test_copies_on_one_side_are_no_leak(root):
    assert find_copies(IMAGES, {0, 1, 4, 5}, root / 'images').pairs == []


def test_images_that_are_not_there_are_not_compared(root):
    (root / 'images/4.png').unlink()

    copies = find_copies(IMAGES, {0, 1, 2}, root / 'images')

    assert (copies.compared, copies.pairs) == (5, [('5.png', '1.png')])


def test_a_split_names_its_copies_and_keeps_them(root):
    manifest = split(root, 0, 1, 2)

    assert manifest['unlabeled']['images'] == 3
    assert format_copies(manifest) == (
        '6 of 6 images compared by content: 2 unlabeled images are in the labeled '
        'set and are kept: 4.png (0.png), 5.png (1.png)'
    )
    written = json.loads((root / 'out/part.json').read_text())
    assert written['copies']['pairs'] == [['4.png', '0.png'], ['5.png', '1.png']]


def test_a_split_without_copies_says_so(root):
    text = format_copies(split(root, 0, 4))

    assert text.endswith(': no unlabeled image equals a labeled one')


def test_a_split_whose_images_are_elsewhere_is_compared_by_name_alone(root):
    (root / 'images').rename(root / 'pictures')

    assert format_copies(split(root, 0)).startswith('compared by name and id alone')
    found = split(root, 0, img_root=root / 'pictures')['copies']
    assert found['pairs'] == [('4.png', '0.png')]


def test_a_comparison_can_be_left_out(root):
    assert split(root, 0, by_content=False)['copies'] is None


def test_a_folder_without_the_images_is_refused(root):
    with pytest.raises(UserError, match=r'none of the images of .* is in .*annot'):
        split(root, 0, img_root=root / 'annotations')


@pytest.mark.parametrize('folder', ['train2017', 'images', '.'])
def test_images_beside_their_json_are_compared(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / '0.png').touch()
    ann_file = tmp_path / 'annotations/person_keypoints_train2017.json'

    found = images_beside(ann_file, IMAGES)

    assert found is not None
    assert found.samefile(tmp_path / folder)


def test_missing_images_are_not_compared(tmp_path):
    assert images_beside(tmp_path / 'annotations/all.json', IMAGES) is None
