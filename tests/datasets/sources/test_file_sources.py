"""Folders with filters, patterns and text lists."""

from __future__ import annotations

import os

import pytest

from mmdistill.datasets.sources import FolderSource, GlobSource, ListSource
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import UserError


def keys(source):
    return source.list_images().keys


def test_a_folder_is_filtered_by_path(tmp_path, write_images):
    write_images(tmp_path, 'p/a.png', 'p/a_mask.png', 'p/d1/b.jpg', 'p/d2/b.jpg')
    source = FolderSource(
        tmp_path, 'p', include=['*.png', 'd2/*'], exclude=['*_mask.*']
    )
    assert keys(source) == ['p/a.png', 'p/d2/b.jpg']
    image = source.read('p/d2/b.jpg', None, ImageReader())
    assert image.shape == (48, 64)


def test_filters_that_leave_nothing_are_a_sentence(tmp_path, write_images):
    write_images(tmp_path, 'p/a.png')
    with pytest.raises(UserError, match=r"none of the 1 images .*exclude=\['\*'\]"):
        keys(FolderSource(tmp_path, 'p', exclude=['*']))


def test_a_pattern_takes_images_by_path(tmp_path, write_images):
    write_images(tmp_path, 'c2/x/1.png', 'c1/0.png', 'c1/x/1.png', 'other/1.png')
    (tmp_path / 'c1/1.txt').touch()
    assert keys(GlobSource(tmp_path, 'c?/**/1.*')) == ['c1/x/1.png', 'c2/x/1.png']


def test_an_absolute_pattern_gives_absolute_paths(tmp_path, write_images):
    (path,) = write_images(tmp_path / 'a', '0.png')
    source = GlobSource(tmp_path / 'elsewhere', f'{tmp_path}/a/*.png')
    assert keys(source) == [str(path)]
    assert source.read(str(path), None, ImageReader()).shape == (48, 64)


def test_a_pattern_without_match_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r'no image below .* matches \*\.png'):
        keys(GlobSource(tmp_path, '*.png'))


def test_a_list_keeps_its_order_and_takes_an_image_once(tmp_path, write_images):
    write_images(tmp_path, 'i/b.png', 'i/a.png')
    lines = '\ufeff# mine\nb.png\t3\n\na.png\nb.png\ngone.png\n'
    (tmp_path / 'l.txt').write_text(lines)
    source = ListSource(tmp_path, 'l.txt', img_root='i')
    assert keys(source) == ['i/b.png', 'i/a.png', 'i/gone.png']


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (None, 'l.txt cannot be read: No such file'),
        (b'\xff\xfe\xfa', 'l.txt is not UTF-8'),
        (b'# nothing\n', 'l.txt lists no image'),
        (b'a.png\nb.png', 'none of the 2 listed images is below .* would be a.png'),
    ],
)
def test_a_bad_list_is_a_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / 'l.txt').write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        keys(ListSource(tmp_path, 'l.txt'))


def test_backslashes_of_a_list_are_slashes_where_no_file_has_them(
    tmp_path, write_images
):
    write_images(tmp_path, 'day/a.png', 'day/b.png', 'c\\d.png')
    names = ['day\\a.png', 'day/b.png', 'c\\d.png', 'day\\gone.png']
    (tmp_path / 'l.txt').write_text('\r\n'.join(names))
    listing = ListSource(tmp_path, 'l.txt').list_images()
    assert listing.keys == ['day/a.png', *names[1:]]
    assert listing.problems == [
        f'1 of 4 paths of {tmp_path}/l.txt have backslashes for slashes'
    ]


def test_lines_end_where_editors_end_them(tmp_path, write_images):
    names = ['a\u2028b.png', 'c\x0bd.png', 'e\x85f.png', 'g\x1ch.png']
    write_images(tmp_path, *names)
    (tmp_path / 'l.txt').write_text('\n'.join(names), encoding='utf-8')
    assert keys(ListSource(tmp_path, 'l.txt')) == names


@pytest.mark.parametrize('kind', ['folder', 'fifo'])
def test_a_list_that_is_no_file_is_a_sentence(tmp_path, kind):
    if kind == 'fifo':
        os.mkfifo(tmp_path / 'l.txt')
    else:
        (tmp_path / 'l.txt').mkdir()
    with pytest.raises(UserError, match=r'l\.txt is not a file'):
        keys(ListSource(tmp_path, 'l.txt'))
