"""Keys of images and their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmdistill.labels.image_files import (
    container_of,
    frame_key,
    image_file,
    is_packed,
    member_key,
    written_name,
)


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
