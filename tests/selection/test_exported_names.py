"""Names of exported images: readable, apart from each other, and never too long."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.selection.exported_images import exported_names

PARTS = st.sampled_from(
    ['a', 'A', 'b.jpg', 'B.JPG', '..', 'x.mp4', 'x.mp4#000001', 't.tar#a', 'é', '#1?']
)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map('/'.join)


@pytest.mark.parametrize(
    ('key', 'name'),
    [
        ('day 1/a.jpg', 'day 1/a.jpg'),
        ('film.mp4#000010', 'film.mp4/000010.png'),
        ('shards/a.tar#dir/7.jpg', 'shards/a.tar/dir/7.jpg'),
        ('../other/film.MOV#000003', '__/other/film.MOV/000003.png'),
        ('/data/a.jpg', 'data/a.jpg'),
        ('a#b?.jpg', 'a_b_.jpg'),
    ],
)
def test_a_name_is_the_path_without_what_programs_stumble_over(key, name):
    assert exported_names([key]) == [name]


def test_names_that_would_collide_are_distinguished():
    keys = ['../a.jpg', '__/a.jpg', 'B.jpg', 'b.jpg', 'c.jpg']
    names = exported_names(keys)
    assert len({name.casefold() for name in names}) == len(keys)
    assert names[-1] == 'c.jpg'
    assert exported_names(keys[::-1]) == names[::-1]


@pytest.mark.parametrize(
    'key',
    [
        'a' * 300 + '.jpg',
        f'{"ü" * 200}.mp4#000001',
        '/'.join(['folder'] * 400) + '/a.jpg',
        '/'.join(['x' * 250] * 12) + '/film.mp4#000007',
    ],
)
def test_long_names_fit_every_file_system(tmp_path, key):
    (name,) = exported_names([key])
    assert PurePosixPath(name).suffix == ('.png' if '#' in key else '.jpg')
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'')
    assert len(name.encode()) <= 700


@given(st.sets(KEYS, min_size=1, max_size=12))
def test_all_names_can_be_files_below_one_folder(keys):
    names = [name.casefold() for name in exported_names(sorted(keys))]
    assert len(set(names)) == len(names)
    for name in names:
        assert not PurePosixPath(name).is_absolute()
        assert '..' not in PurePosixPath(name).parts
        assert not {str(p) for p in PurePosixPath(name).parents} & set(names)
