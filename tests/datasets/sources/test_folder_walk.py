"""Files below folders, and those that nobody meant."""

from __future__ import annotations

import os

import pytest

from mmdistill.datasets import UnlabeledDataset
from mmdistill.datasets.sources import FolderSource, GlobSource
from mmdistill.datasets.sources.folder_walk import walk_folder
from mmdistill.datasets.sources.image_list import images_of_folder
from mmdistill.errors import UserError
from mmdistill.utils.files import is_hidden

HIDDEN = [
    *('._a.jpg', '.thumbnails/b.jpg', 'sub/.hidden.png', 'sub/@eaDir/c.jpg'),
    *('__MACOSX/._d.jpg', '$RECYCLE.BIN/e.jpg', 'System Volume Information/f.png'),
]


@pytest.fixture
def folder(tmp_path, write_images):
    write_images(tmp_path, 'a.jpg', 'sub/b.jpg', *HIDDEN)
    (tmp_path / 'Thumbs.db').touch()
    return tmp_path


def test_hidden_files_are_no_images_and_counted(folder):
    images = images_of_folder(folder)
    assert images.paths == ['a.jpg', 'sub/b.jpg']
    (problem,) = images.problems
    assert problem.startswith(f'{len(HIDDEN)} hidden files of {folder} are not taken')


def test_hidden_files_can_be_wanted(folder):
    wanted = sorted([*HIDDEN, 'a.jpg', 'sub/b.jpg'])
    assert images_of_folder(folder, hidden=True).paths == wanted
    assert FolderSource(folder, hidden=True).list_images().keys == wanted


def test_a_hidden_folder_that_is_named_is_meant(folder):
    assert FolderSource(folder, '.thumbnails').list_images().keys == [
        '.thumbnails/b.jpg'
    ]
    assert GlobSource(folder, 'sub/@eaDir/*.jpg').list_images().keys == [
        'sub/@eaDir/c.jpg'
    ]


def test_a_pattern_matches_no_hidden_files(folder):
    listing = GlobSource(folder, '**/*.jpg').list_images()
    assert listing.keys == ['a.jpg', 'sub/b.jpg']
    assert GlobSource(folder, '*/*').list_images().keys == ['sub/b.jpg']


def test_a_visible_link_to_a_hidden_folder_is_visible(folder):
    (folder / 'z').symlink_to(folder / '.thumbnails')
    assert 'z/b.jpg' in images_of_folder(folder).paths


def test_a_folder_with_hidden_images_alone_says_so(tmp_path, write_images):
    write_images(tmp_path, '.a.jpg')
    with pytest.raises(UserError, match=r'holds no image .*; 1 hidden files of'):
        images_of_folder(tmp_path)


def test_files_that_are_not_read_are_counted_by_their_ending(tmp_path, write_images):
    write_images(tmp_path, 'a.jpg')
    for name in ('b.HEIC', 'c.heic', 'd.gif', 'e.txt', 'f.mp4', 'g'):
        (tmp_path / name).touch()
    (problem,) = images_of_folder(tmp_path).problems
    assert problem.startswith(f'4 files of {tmp_path} are not read as images')
    assert ': 1 .gif, 2 .heic, 1 .mp4;' in problem


def test_folders_that_cannot_be_read_are_counted(tmp_path, write_images, monkeypatch):
    write_images(tmp_path, 'a.jpg', 'sub/b.jpg')
    scan = os.scandir

    def refuse(path):
        if os.fspath(path).endswith('sub'):
            raise PermissionError(13, 'Permission denied')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', refuse)
    images = images_of_folder(tmp_path)
    assert images.paths == ['a.jpg']
    assert images.problems == (f'1 folders of {tmp_path} cannot be read: sub',)


def test_what_is_named_like_an_image_and_is_none_does_not_hang(tmp_path, write_images):
    write_images(tmp_path, 'a.jpg', 'folder.jpg/b.jpg')
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'zero.jpg').symlink_to('/dev/zero')
    (tmp_path / 'loop.jpg').symlink_to(tmp_path / 'loop.jpg')
    (tmp_path / 'gone.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    (tmp_path / 'empty.jpg').touch()
    guard = dict(val=[], labeled=[], keep_hashes=False)
    images = UnlabeledDataset(
        dict(from_file='configs/_base_/datasets/coco.py'),
        str(tmp_path),
        leak_guard=guard,
    )
    reasons = {
        path: images.read(number).reason for number, path in enumerate(images.paths)
    }
    assert reasons['a.jpg'] == reasons['folder.jpg/b.jpg'] == ''
    assert reasons['pipe.jpg'] == reasons['zero.jpg'] == 'not a regular file'
    assert reasons['empty.jpg'] == 'a file without bytes'
    assert 'symbolic links' in reasons['loop.jpg']
    assert reasons['gone.jpg'] == 'No such file or directory'


def test_folders_that_link_to_each_other_end(tmp_path, write_images):
    names = [f'd{number}' for number in range(6)]
    write_images(tmp_path, *(f'{name}/{name}.jpg' for name in names))
    for name in names:
        for other in names:
            (tmp_path / name / f'to_{other}').symlink_to(tmp_path / other)
    assert len(images_of_folder(tmp_path).paths) == len(names)
    assert len(GlobSource(tmp_path, '**/*.jpg').list_images().keys) == len(names)
    assert len(GlobSource(tmp_path, '**/d*/**/*.jpg').list_images().keys) >= len(names)


def test_files_come_in_order(tmp_path, write_images):
    write_images(tmp_path, 'b.jpg', 'a/z.jpg', 'a.jpg', 'a b/c.jpg')
    files = walk_folder(tmp_path).files
    assert files == sorted(files)
    assert len(files) == 4


@pytest.mark.parametrize('name', ['a.jpg', 'thumbnails', 'a.b', '_x', 'eaDir'])
def test_other_names_are_visible(name):
    assert not is_hidden(name)
