"""The advice of sentences about images: following it resolves the situation."""

from __future__ import annotations

import ast
import gzip
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config

from mmdistill.config.datasets import leak_guard_config
from mmdistill.config.recipe import Recipe
from mmdistill.datasets import UnlabeledDataset
from mmdistill.datasets.sources import (
    FolderSource,
    GlobSource,
    ListSource,
    TarSource,
    VideoSource,
)
from mmdistill.datasets.sources.image_list import images_of_folder
from mmdistill.datasets.sources.image_reader import ImageReader
from mmdistill.datasets.sources.source_list import build_sources
from mmdistill.errors import UserError
from tests.helpers.gray_images import image
from tests.helpers.media import write_tar, write_video  # noqa: F401


def refusal(run: Callable[[], object], word: str) -> str:
    with pytest.raises(UserError, match=word) as caught:
        run()
    return str(caught.value)


def test_hidden_files_of_a_folder_are_taken(tmp_path, write_images):
    write_images(tmp_path, 'a/.0.png')
    sentence = refusal(lambda: images_of_folder(tmp_path / 'a'), 'holds no image')
    ((key, value),) = re.findall(r'\((\w+)=(\w+) takes them\)', sentence)
    options = {key: ast.literal_eval(value)}

    assert images_of_folder(tmp_path / 'a', **options).paths == ['.0.png']
    assert FolderSource(tmp_path, 'a', **options).list_images().keys == ['a/.0.png']


def test_a_hidden_file_of_another_source_is_named(
    tmp_path,
    write_images,
    write_video,  # noqa: F811
    write_tar,  # noqa: F811
):
    write_images(tmp_path, 'a/.0.png')
    write_video(tmp_path / 'a/.1.mp4', range(1))
    write_tar(tmp_path / 'a/.2.tar', {'0.png': image(1)})
    for source in (GlobSource, VideoSource, TarSource):
        sentence = refusal(lambda kind=source: kind(tmp_path, 'a').list_images(), 'a')
        assert '(one is taken where the path is its own)' in sentence
        assert 'hidden=True' not in sentence
        (name,) = re.findall(r'is its own\): (\S+)', sentence)
        assert len(source(tmp_path, f'a/{name}').list_images().keys) == 1


def test_images_of_another_form_are_converted(tmp_path, write_images):
    write_images(tmp_path, 'a/0.png')
    path = tmp_path / 'a/0.png'
    pixels = cv2.imread(str(path))
    path.rename(tmp_path / 'a/0.avif')
    sentence = refusal(lambda: images_of_folder(tmp_path / 'a'), 'holds no image')
    forms = re.findall(r'convert them \((\w+), (\w+)\)', sentence)[0]

    for form in forms:
        assert cv2.imwrite(str(tmp_path / f'a/{form}.{form.lower()}'), pixels)
    assert len(images_of_folder(tmp_path / 'a')) == 2


def test_videos_and_tars_are_sources_of_their_own(
    tmp_path,
    write_video,  # noqa: F811
    write_tar,  # noqa: F811
):
    write_video(tmp_path / 'a/0.mp4', range(2))
    write_tar(tmp_path / 'a/1.tar', {'0.png': image(1)})
    sentence = refusal(lambda: images_of_folder(tmp_path / 'a'), 'holds no image')
    assert 'name videos and tars in sources of their own' in sentence

    configs = [dict(type=f'{kind}Source', path='a') for kind in ('Video', 'Tar')]
    sentence = refusal(lambda: build_sources(configs, tmp_path), "2 are 'a'")
    assert 'must have names of their own' in sentence
    configs[0]['name'] = 'videos'
    found = build_sources(configs, tmp_path)
    assert [len(source.list_images().keys) for source in found] == [2, 1]


def test_a_list_of_images_is_saved_unchanged(tmp_path, write_images):
    write_images(tmp_path, 'a.png')
    path = tmp_path / 'list.txt'
    path.write_text('a.png', encoding='utf-16')
    source = ListSource(tmp_path, 'list.txt')
    (encoding,) = re.findall('save it as (.*)$', refusal(source.list_images, 'is not'))

    path.write_text('a.png', encoding=encoding)
    assert source.list_images().keys == ['a.png']


def test_a_pattern_of_too_many_names_has_the_range_that_there_is(
    tmp_path,
    write_tar,  # noqa: F811
):
    for number in range(2):
        write_tar(tmp_path / f's-{number:06d}.tar', {'0.png': image(1)})
    sentence = refusal(
        TarSource(tmp_path, 's-{000000..999999}.tar').list_images, 'more than'
    )
    (character,) = re.findall(r'or a pattern with (\S) instead', sentence)
    assert 'give the range of existing files' in sentence

    for pattern in ('s-{000000..000001}.tar', f's-{character}.tar'):
        assert len(TarSource(tmp_path, pattern).list_images().keys) == 2


def test_a_pattern_is_as_long_as_it_may_be(tmp_path, write_images):
    write_images(tmp_path, 'a.png')
    sentence = refusal(GlobSource(tmp_path, '{' + 'x' * 99999).list_images, 'at most')
    most = int(re.findall(r'at most (\d+) characters', sentence)[0])

    longest = 'a.png,'.join('{}').replace('}', 'x' * (most - 8) + '}')
    assert len(longest) == most
    assert GlobSource(tmp_path, longest).list_images().keys == ['a.png']


@pytest.mark.parametrize('packed', ['gzip', 'zip'])
def test_a_compressed_tar_becomes_a_plain_one(
    tmp_path,
    write_tar,  # noqa: F811
    packed,
):
    content = {'0.png': image(9)}
    path = write_tar(tmp_path / 'a.tar', content)
    if packed == 'gzip':
        path.write_bytes(gzip.compress(path.read_bytes()))
    else:
        with zipfile.ZipFile(path, 'w') as file:
            file.writestr('0.png', content['0.png'])
    source = TarSource(tmp_path, 'a.tar')
    sentence = refusal(source.list_images, f'is compressed .{packed}')
    assert sentence.endswith('make an uncompressed tar of its content')

    write_tar(path, content)
    listing = source.list_images()
    read = source.read(listing.keys[0], listing.locations[0], ImageReader())
    assert read.pixels.shape == (4, 5, 3)


def test_a_tar_has_the_ending_that_is_named(tmp_path, write_tar):  # noqa: F811
    path = write_tar(tmp_path / 'a.shard', {'0.png': image(9)})
    sentence = refusal(TarSource(tmp_path, '*.shard').list_images, 'no tar below')
    (suffix,) = re.findall(r'uncompressed and end in (\.\w+)\)', sentence)

    path.rename(path.with_suffix(suffix))
    assert TarSource(tmp_path, f'*{suffix}').list_images().keys == ['a.tar#0.png']


def test_a_source_is_of_a_type_that_is_named(tmp_path):
    sentence = refusal(lambda: build_sources([{}], tmp_path), 'must have a type of')
    kinds = re.findall('a type of (.*);', sentence)[0].split(', ')
    path = dict(GlobSource='pattern', CocoSource='ann_file')
    configs = [{'type': k, 'name': k, path.get(k, 'path'): 'a'} for k in kinds]

    built = build_sources(configs, tmp_path)
    assert [type(source).__name__ for source in built] == kinds


@pytest.fixture
def build(tmp_path, coco_metainfo, write_images):
    write_images(tmp_path, 'a/0.png', 'a/1.png')

    def build(**options):
        return UnlabeledDataset(coco_metainfo, str(tmp_path), **options)

    return build


def test_images_come_from_one_of_both(build):
    both = dict(data_prefix=dict(img='a/'), hidden=True)
    sources = dict(sources=[dict(type='FolderSource', path='a')])
    sentence = refusal(lambda: build(**both, **sources), 'got both')
    (named,) = re.findall(r'from (.*), got both', sentence)
    one, other = named.split(' or from ')
    others = re.split(', | and ', other)

    assert len(build(**{one: sources[one]})) == 2
    assert set(both) <= set(others)
    assert len(build(**both)) == 2


def test_a_prefix_has_the_form_that_is_named(tmp_path, build):
    sentence = refusal(lambda: build(data_prefix='a/'), 'data_prefix must be')
    (form,) = re.findall(r'as (dict\(.*?\)),', sentence)
    key, value = re.findall(r"dict\((\w+)='(.*)'\)", form)[0]
    (tmp_path / 'a').rename(tmp_path / value)

    assert len(build(data_prefix={key: value})) == 2


@pytest.fixture
def guarded(tmp_path, build):
    """Build over images that the validation set has, by a config."""

    def guarded(val: dict, **distill: object) -> UnlabeledDataset:
        names = [dict(id=i, file_name=f'{i}.png') for i in (0, 1)]
        (tmp_path / 'val.json').write_text(json.dumps(dict(images=names)))
        dataset = dict(data_root=str(tmp_path), ann_file='val.json', **val)
        loader = dict(dataset=dataset)
        section = dict(teacher={}, unlabeled={}, store='labels', **distill)
        content = dict(work_dir=str(tmp_path), val_dataloader=loader, distill=section)
        guard = leak_guard_config(Recipe.of(Config(content)), {})
        return build(data_prefix=dict(img='a/'), leak_guard=guard)

    return guarded


def switched_off(sentence: str) -> dict[str, object]:
    ((key, value),) = re.findall(r'set distill\.(\w+)=(\w+)$', sentence)
    return {key: ast.literal_eval(value)}


def test_other_images_are_labeled_or_the_guard_is_off(tmp_path, guarded):
    val = dict(data_prefix=dict(img='val/'))
    shutil.copytree(tmp_path / 'a', tmp_path / 'val')
    sentence = refusal(lambda: guarded(val), 'label other ones')

    assert len(guarded(val, **switched_off(sentence))) == 2
    flipped = cv2.imread(str(tmp_path / 'a/0.png'))[:, ::-1]
    assert cv2.imwrite(str(tmp_path / 'a/other.png'), flipped)
    assert guarded(val).paths == ['other.png']


def test_images_of_the_validation_set_are_where_the_prefix_says(tmp_path, guarded):
    picture = cv2.imread(str(tmp_path / 'a/0.png'))
    (tmp_path / 'val').mkdir()
    for number in (0, 1):
        assert cv2.imwrite(str(tmp_path / f'val/{number}.png'), picture[:, ::-1])
    sentence = refusal(lambda: guarded({}), 'can be read, so no')
    keys = re.findall(r'check (\w+) and (\w+), or', sentence)[0]
    assert keys == ('data_root', 'data_prefix')

    assert len(guarded({}, **switched_off(sentence))) == 2
    assert len(guarded({keys[1]: dict(img='val/')})) == 2
    first = Path(re.findall(r'the first is (\S+):', sentence)[0])
    assert first == tmp_path / '0.png'


RANGES = {
    'every': (VideoSource, 0, r'from (1)'),
    'duplicate_distance': (VideoSource, 256, r'bits, (0) to (255)'),
    'hidden': (FolderSource, 'no', r'must be (True) or (False)'),
}


@pytest.mark.parametrize('option', RANGES)
def test_an_option_takes_what_its_sentence_names(tmp_path, option):
    kind, wrong, named = RANGES[option]
    sentence = refusal(lambda: kind(tmp_path, 'a', **{option: wrong}), option)
    values = re.search(named, sentence)
    assert values is not None
    for value in map(ast.literal_eval, values.groups()):
        assert getattr(kind(tmp_path, 'a', **{option: value}), option) == value


def test_most_pixels_are_as_many_as_named():
    sentence = refusal(lambda: ImageReader(0), 'max_pixels must be')
    for most in map(int, re.findall(r'must be (\d+) to (\d+)', sentence)[0]):
        assert ImageReader(most).max_pixels == most


def test_frames_are_chosen_by_one_of_both(tmp_path, write_video):  # noqa: F811
    write_video(tmp_path / 'v.mp4', range(5))
    both = dict(every=2, seconds=0.08)
    sentence = refusal(lambda: VideoSource(tmp_path, 'v.mp4', **both), 'by every or')
    for key in re.findall(r'selected by (\w+) or by (\w+),', sentence)[0]:
        source = VideoSource(tmp_path, 'v.mp4', **{key: both[key]})
        assert len(source.list_images().keys) == 3
