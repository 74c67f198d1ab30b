"""Several sources as one list."""

from __future__ import annotations

import json

import pytest

from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.source_list import SourceList, build_sources
from mmdistill.errors import UserError


@pytest.fixture
def build(tmp_path):
    def build(*configs):
        return SourceList(build_sources(configs, tmp_path))

    return build


def keys(found):
    return found.keys.to_pylist()


def folder(path, **options):
    return dict(type='FolderSource', path=path, **options)


def test_sources_come_one_after_the_other_with_their_names(
    tmp_path, write_images, build
):
    write_images(tmp_path, 'b/0.png', 'a/0.png', 'a/1.png')
    found = build(folder('b'), folder('a', name='first'))
    assert keys(found) == ['b/0.png', 'a/0.png', 'a/1.png']
    names = [found.source_of(number).name for number in range(3)]
    assert names == ['b', 'first', 'first']
    assert found.read(2, ImageReader()).shape == (48, 64)


def test_an_image_of_two_sources_belongs_to_the_first(tmp_path, write_images, build):
    write_images(tmp_path, 'a/0.png', 'a/1.png')
    glob = dict(type='mmdistill.GlobSource', pattern='a/1.*', name='g')
    found = build(glob, folder('a'))
    assert keys(found) == ['a/1.png', 'a/0.png']
    assert found.source_of(0).name == 'g'


def test_a_source_without_images_is_logged_and_the_others_are_used(
    tmp_path, write_images, build, logged
):
    write_images(tmp_path, 'a/0.png')
    listed = dict(type='ListSource', path='gone.txt')
    assert keys(build(listed, folder('a'))) == ['a/0.png']
    assert any('gone.txt' in line for line in logged)


def test_without_any_image_all_problems_are_listed(build):
    with pytest.raises(UserError, match=r'folder .*a does not exist; .*folder .*b'):
        build(folder('a'), folder('b'))


def test_detections_name_images_by_path_short_name_or_id(tmp_path, write_images, build):
    write_images(tmp_path, 'a/7.png', 'a/8.png', 'b/8.png', 'b/9.png')
    infos = [dict(id=70, file_name='8.png'), dict(id=9, file_name='9.png')]
    (tmp_path / 'b.json').write_text(json.dumps({'images': infos}))
    coco = dict(type='CocoSource', ann_file='b.json', path='b')
    numbers = build(folder('a'), coco).images.numbers
    assert numbers['a/7.png'] == numbers['7'] == numbers[7] == 0
    # The file that is called 8 here has the id 70 there.
    assert numbers[8] == numbers['a/8.png'] == 1
    assert (numbers[9], numbers[70]) == (2, 3)
    assert '9' not in numbers


def test_left_out_images_are_gone_from_all_columns(tmp_path, write_images, build):
    write_images(tmp_path, 'a/0.png', 'a/1.png', 'b/2.png')
    found = build(folder('a'), folder('b'))
    found.keep([1, 2])
    assert keys(found) == found.images.paths == ['a/1.png', 'b/2.png']
    assert found.source_of(1).name == 'b'


@pytest.mark.parametrize(
    ('config', 'sentence'),
    [
        (dict(type='NoSource'), "FolderSource, GlobSource, .*; got 'NoSource'"),
        (dict(path='a'), 'got None'),
        (
            dict(type='FolderSource', depth=3),
            "FolderSource cannot be built: .*'depth'",
        ),
        (folder('a', include='*.png'), 'include must be a list of patterns'),
    ],
)
def test_a_source_that_cannot_be_built_is_a_sentence(build, config, sentence):
    with pytest.raises(UserError, match=sentence):
        build(config)


def test_two_sources_of_one_name_are_refused(build):
    with pytest.raises(UserError, match="names of their own, 2 are 'x'"):
        build(folder('a/x'), folder('b/x'))


@pytest.mark.parametrize('name', ['a/caf\udce9.png', 'a/caf\\udce9.png', 'caf\udce9'])
def test_detections_may_call_an_image_by_its_name_or_its_spelling(
    tmp_path, write_images, build, name
):
    write_images(tmp_path, 'a/b.png', 'a/x.png')
    (tmp_path / 'a/x.png').rename(tmp_path / 'a/caf\udce9.png')
    assert build(folder('a')).images.numbers[name] == 1


def test_names_of_sources_are_text(tmp_path, write_images, build):
    write_images(tmp_path, 'x/b.png')
    (tmp_path / 'x').rename(tmp_path / 'caf\udce9')
    assert build(folder('caf\udce9')).source_of(0).name == 'caf\\udce9'


def test_one_long_name_does_not_make_the_others_long(tmp_path, write_images, build):
    deep = '/'.join('d' * 9) * 9
    names = [f'a/{number}.png' for number in range(3)]
    write_images(tmp_path, *names, f'a/{deep}/x.png')
    found = build(dict(type='GlobSource', pattern='a/*.png'), folder('a'))
    assert keys(found) == [*names, f'a/{deep}/x.png']
