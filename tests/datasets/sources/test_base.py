"""What sources have in common."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from mmdistill.datasets.sources import (
    CocoSource,
    FolderSource,
    GlobSource,
    ListSource,
    TarSource,
    VideoSource,
)
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.errors import UserError


def test_names_come_from_paths(tmp_path):
    assert FolderSource(tmp_path, 'pile/v1.2/').name == 'v1.2'
    assert VideoSource(tmp_path, 'videos/m3v1.mp4').name == 'm3v1'
    assert GlobSource(tmp_path, 'c?/*.png').name == 'c?/*.png'
    assert GlobSource(tmp_path, 'c?/*.png', name='').name == ''


def test_a_file_that_is_to_be_written_out_has_its_own_bytes(tmp_path, write_images):
    (file,) = write_images(tmp_path, 'a.tar#b.png')
    source = FolderSource(tmp_path)
    content = source.encoded('a.tar#b.png', np.zeros(0), ImageReader())
    assert content == file.read_bytes()
    assert source.encoded('gone.png', np.zeros(0), ImageReader()) is None


@pytest.mark.parametrize('value', [None, 5, ['a'], b'a', {}, 0.5])
@pytest.mark.parametrize(
    ('kind', 'option'),
    [
        *((FolderSource, 'path'), (GlobSource, 'pattern'), (ListSource, 'path')),
        *((ListSource, 'img_root'), (CocoSource, 'ann_file'), (CocoSource, 'path')),
        *((VideoSource, 'path'), (TarSource, 'path')),
    ],
)
def test_a_path_that_is_no_text_is_a_sentence(tmp_path, kind, option, value):
    needed = {ListSource: 'path', CocoSource: 'ann_file'}.get(kind, option)
    with pytest.raises(UserError, match=f'{option} of unlabeled images must be a text'):
        kind(tmp_path, **{needed: 'a', option: value})


@pytest.mark.parametrize('value', [5, ['a'], b'a', {}])
@pytest.mark.parametrize('kind', [FolderSource, VideoSource, TarSource])
def test_a_name_that_is_no_text_is_a_sentence(tmp_path, kind, value):
    with pytest.raises(UserError, match='name of unlabeled images must be a text'):
        kind(tmp_path, path='a', name=value)


def test_a_path_may_be_an_object(tmp_path, write_images):
    write_images(tmp_path, 'a/b.png')
    assert FolderSource(tmp_path, Path('a')).list_images().keys == ['a/b.png']


@pytest.mark.parametrize(
    'options',
    [
        *(dict(every=value) for value in (0, -1, 1.5, True, '2', None, [1])),
        *(dict(seconds=value) for value in (0, -1, inf, nan, True, '2', [1])),
        *(dict(duplicate_distance=value) for value in (-1, 256, 0.5, True, '6')),
    ],
)
def test_a_number_that_is_none_is_a_sentence(tmp_path, options):
    (name,) = options
    with pytest.raises(UserError, match=f'{name} must be'):
        VideoSource(tmp_path, 'a.mp4', **options)


@pytest.mark.parametrize(
    'options', [dict(every=10**30), dict(seconds=10**300), dict(seconds=1e-320)]
)
def test_any_step_takes_at_least_the_first_frame(tmp_path, write_video, options):
    write_video(tmp_path / 'a.mp4', range(3))
    keys = VideoSource(tmp_path, 'a.mp4', **options).list_images().keys
    assert keys == [f'a.mp4#{i:06d}' for i in range(3 if 'e-' in str(options) else 1)]


@pytest.mark.parametrize('option', ['include', 'exclude'])
@pytest.mark.parametrize('value', [5, None, '*.png', [5], {'a': 1}, b'a'])
def test_a_filter_that_is_no_list_of_texts_is_a_sentence(tmp_path, option, value):
    with pytest.raises(UserError, match=f'{option} must be a list of patterns'):
        FolderSource(tmp_path, **{option: value})
