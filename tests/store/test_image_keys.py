"""Keys of images and their files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmdistill.store.image_keys import (
    container_of,
    frame_key,
    image_file,
    is_packed,
    member_key,
    opens_by_key,
    written_name,
)
from mmdistill.utils.files import write_bytes


@pytest.mark.parametrize(
    ('key', 'name'),
    [
        (frame_key('v/a.mp4', 12), 'frames/v/a.mp4#000012.jpg'),
        (frame_key('../v/a.MP4', 1234567), 'frames/%2E%2E/v/a.MP4#1234567.jpg'),
        (frame_key('/v/a#1.avi', 0), 'frames/%2F/v/a#1.avi#000000.jpg'),
        (member_key('s.tar', 'x/7.png'), 'frames/s.tar#x/7.png'),
        (member_key('s.tar', '../7%.png'), 'frames/s.tar#../7%25.png'),
    ],
)
def test_packed_images_are_written_below_the_store(key, name):
    assert is_packed(key)
    if '..' not in name:
        assert written_name(key) == name
    path = image_file(Path('/store'), Path('/images'), key)
    assert path.resolve().is_relative_to('/store/frames')


@pytest.mark.parametrize('key', ['a/b#1.jpg', 'a.mp4/1.jpg', 'a.mp4#x.jpg', 'b.tar'])
def test_other_keys_are_paths(key):
    assert not is_packed(key)
    assert image_file(Path('store'), Path('root'), key) == Path('root', key)


def test_the_container_is_in_front_of_the_mark():
    assert container_of('a#1/b.mp4#000003') == 'a#1/b.mp4'
    assert container_of('a.tar#b.mp4#000003.png') == 'a.tar'


def test_names_are_distinct():
    keys = ['../a.mp4#000000', '%2E%2E/a.mp4#000000', 'a.mp4#000000']
    assert len({written_name(key) for key in keys}) == 3


NAMES = [
    'x' * 251,
    'x' * 255,
    'é' * 127,
    '%' * 251,
    '🙂' * 63,
    'x' * 251 + '~',
    '/'.join('y' * 999),
]


@pytest.mark.parametrize('ending', ['.mp4#000001', '.mp4#000002', '.tar#a.jpg'])
@pytest.mark.parametrize('name', NAMES)
def test_names_that_grow_too_long_are_cut(tmp_path, name, ending):
    written = tmp_path / written_name(name + ending)
    write_bytes(written, b'x')
    assert written.read_bytes() == b'x'
    assert written.suffix == '.jpg'
    assert written_name(name + ending) == written_name(name + ending)


def test_cut_names_are_distinct():
    stems = [*NAMES, *(f'{"x" * 250}{number}' for number in range(9))]
    keys = [f'{stem}.mp4#{n:06d}' for stem in stems for n in range(9)]
    keys += [f'{stem}/{stem}.tar#{stem}.jpg' for stem in stems]
    names = [written_name(key) for key in keys]
    again = [written_name(f'{name}.mp4#000000') for name in names]
    assert len({*names, *again}) == 2 * len(keys)


def test_a_name_that_fits_stays():
    key = 'x' * 240 + '.mp4#000001'
    assert written_name(key) == f'frames/{key[:-11]}.mp4#000001.jpg'
    key = 'x' * 241 + '.mp4#000001'
    assert '%-' in written_name(key)


def test_a_name_that_is_not_utf8_leads_to_its_file():
    file = image_file(Path('store'), Path('root'), 'caf\\udce9.jpg')
    assert os.fsencode(file) == b'root/caf\xe9.jpg'


def test_an_image_that_was_scaled_is_in_the_store():
    path = image_file(Path('store'), Path('root'), 'a/b.tif', written=True)
    assert path == Path('store/frames/a/b.tif.png')


@pytest.mark.parametrize('key', ['a/b.jpg', 'é.jpg', 'a\\b.jpg', 'a#1.jpg'])
def test_a_plain_key_opens(key):
    assert opens_by_key(key)


@pytest.mark.parametrize('key', ['\\udce9.jpg', '\\u005cudce9.jpg', 'a.mp4#000001'])
def test_a_key_that_is_no_path_does_not_open(key):
    assert not opens_by_key(key)
