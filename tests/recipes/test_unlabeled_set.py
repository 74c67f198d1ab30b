"""Unlabeled images: each kind of argument, their number and their size on disk."""

import json
import shutil
from collections import namedtuple
from pathlib import Path

import cv2
import pytest

from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import DataError
from mmdistill.recipes import unlabeled_set
from mmdistill.recipes.machine import Machine
from mmdistill.recipes.unlabeled_set import check_disk, describe_unlabeled
from tests.helpers.media import clouds_of

CPU = Machine(2)


@pytest.fixture
def here(tmp_path, monkeypatch, write_images, write_video, write_tar):
    """Images, a list and a json of them, a video and a tar below `data/`."""
    monkeypatch.chdir(tmp_path)
    root = Path('data')
    write_images(root / 'photos', 'a.png', 'b.png', 'day/c.png')
    write_video(root / 'films/one.mp4', range(24), draw=clouds_of)
    picture = (root / 'photos/a.png').read_bytes()
    write_tar(root / 'shards/x.tar', {'1.png': picture, '2.png': picture})
    (root / 'list.txt').write_text('a.png\nday/c.png\n')
    images = [dict(id=1, file_name='a.png'), dict(id=2, file_name='b.png')]
    (root / 'some.json').write_text(json.dumps(dict(images=images)))
    return root


def images_of(section):
    """The images that a recipe with this section would have."""
    root = Path(section['data_root'])
    if 'sources' in section:
        return SourceList(build_sources(section['sources'], root)).keys.to_pylist()
    folder = root / section['data_prefix']['img']
    if section.get('ann_file'):
        config = dict(
            type='CocoSource',
            ann_file=section['ann_file'],
            path=section['data_prefix']['img'],
        )
        return SourceList(build_sources([config], root)).keys.to_pylist()
    return SourceList(
        build_sources([dict(type='FolderSource', path='')], folder)
    ).keys.to_pylist()


@pytest.mark.parametrize(
    ('items', 'kinds', 'number'),
    [
        (['data/photos'], None, 3),
        (['data/photos/'], None, 3),
        (['data/some.json'], None, 2),
        (['data/films'], ['VideoSource'], 6),
        (['data/films/one.mp4'], ['VideoSource'], 6),
        (['data/films/*.mp4'], ['VideoSource'], 6),
        (['data/shards'], ['TarSource'], 2),
        (['data/shards/x.tar'], ['TarSource'], 2),
        (['data/list.txt'], ['ListSource'], 2),
        (['data/photos/*.png'], ['GlobSource'], 2),
        (['data/photos/a.png'], ['GlobSource'], 1),
        (['data/photos', 'data/films'], ['FolderSource', 'VideoSource'], 9),
        (['data/photos', 'data/shards/x.tar'], ['FolderSource', 'TarSource'], 5),
        (['data/films', 'data/films/one.mp4'], ['VideoSource'] * 2, 6),
    ],
)
def test_each_kind_of_argument_is_a_source(here, items, kinds, number):
    unlabeled = describe_unlabeled(items, CPU, Path('data/photos'))
    section = unlabeled.section
    assert [s['type'] for s in section.get('sources', [])] == (kinds or [])
    assert unlabeled.images == len(images_of(section)) == number


def test_absolute_paths_stay_absolute(here):
    unlabeled = describe_unlabeled([str(here.absolute() / 'photos')], CPU)
    assert unlabeled.section['data_root'] == f'{here.absolute()}/'
    assert len(images_of(unlabeled.section)) == 3


def test_sources_of_one_name_are_numbered(here):
    (here / 'more').mkdir()
    shutil.copytree(here / 'photos', here / 'more/photos')
    unlabeled = describe_unlabeled(['data/photos', 'data/more/photos'], CPU)
    names = [source['name'] for source in unlabeled.section['sources']]
    assert names == ['photos-1', 'photos-2']
    assert len(images_of(unlabeled.section)) == 6


def test_six_frames_a_second_are_taken(here):
    unlabeled = describe_unlabeled(['data/films'], CPU)
    assert (unlabeled.every, unlabeled.images) == (4, 6)  # of 25 a second
    assert unlabeled.has_frames
    assert not describe_unlabeled(['data/photos'], CPU).has_frames
    assert describe_unlabeled(['data/films'], CPU, every=10).images == 3


def test_a_long_video_is_seen_less_often(here, monkeypatch):
    monkeypatch.setattr(unlabeled_set, 'MOST_CPU', 3)
    unlabeled = describe_unlabeled(['data/films'], CPU)
    assert unlabeled.images == 3
    assert unlabeled.every_reason == 'at most 3 of 24 frames'


@pytest.mark.parametrize(
    ('items', 'sentence'),
    [
        (['data/none'], '--unlabeled data/none does not exist'),
        (['data/none.mp4'], '--unlabeled data/none.mp4 does not exist'),
        (['data/empty'], 'data/empty is a folder without an image, a video or a tar'),
        (['data/notes.md'], 'data/notes.md must be a folder, a video'),
        (['data/photos/*.bmp'], 'no image below .* matches'),
    ],
)
def test_what_has_no_image_is_refused(here, items, sentence):
    (here / 'empty').mkdir()
    (here / 'notes.md').touch()
    with pytest.raises(DataError, match=sentence):
        describe_unlabeled(items, CPU)


def test_images_that_are_all_labeled_are_refused(here):
    known = [here / 'photos' / name for name in ('a.png', 'b.png', 'day/c.png')]
    with pytest.raises(DataError, match='all 3 images of --unlabeled data/photos are'):
        describe_unlabeled(['data/photos'], CPU, known=known)
    assert describe_unlabeled(['data/photos'], CPU, known=known[:2]).images == 3


def test_frames_take_the_size_of_their_jpeg(here):
    unlabeled = describe_unlabeled(['data/films'], CPU)
    with av_frames(here / 'films/one.mp4') as video:
        picture = video.read()[1]
    data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]

    assert unlabeled.frame_bytes == pytest.approx(6 * len(data), rel=0.2)
    assert describe_unlabeled(['data/photos'], CPU).frame_bytes == 0


class av_frames:  # noqa: N801
    """OpenCV's reader of a video, as an oracle."""

    def __init__(self, path):
        self.video = cv2.VideoCapture(str(path))

    def __enter__(self):
        return self.video

    def __exit__(self, *error):
        self.video.release()


@pytest.mark.parametrize(
    ('item', 'advice'),
    [('data/films', 'a larger step with --every'), ('data/shards', 'free that much')],
)
def test_a_disk_that_is_too_small_is_told(here, monkeypatch, item, advice):
    usage = namedtuple('usage', 'total used free')
    unlabeled = describe_unlabeled([item], CPU)
    check_disk(unlabeled, Path('work_dirs/x/labels'))

    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, 10))
    with pytest.raises(DataError, match=f'has 1e-08 GB free.*{advice}'):
        check_disk(unlabeled, Path('work_dirs/x/labels'))
    check_disk(describe_unlabeled(['data/photos'], CPU), Path('work_dirs/x/labels'))
