"""Images of a COCO json as a source."""

from __future__ import annotations

import json

import pytest

from mmdistill.datasets.sources import CocoSource
from mmdistill.errors import UserError


def test_images_have_paths_ids_and_sizes(tmp_path, write_images):
    write_images(tmp_path / 'i', 'a.png', 'b.png')
    infos = [
        dict(id=9, file_name='a.png', width=64, height=48),
        dict(id=4, file_name='b.png', width=64, height=40),
    ]
    (tmp_path / 'x.json').write_text(json.dumps({'images': infos}))
    source = CocoSource(tmp_path, 'x.json', path='i')
    listing = source.list_images()
    assert source.name == 'x'
    assert listing.keys == ['i/b.png', 'i/a.png']
    assert listing.ids == [4, 9]
    assert listing.sizes.tolist() == [[64, 40], [64, 48]]


def test_a_json_of_missing_images_is_a_sentence(tmp_path):
    infos = {'images': [dict(id=9, file_name='a.png')]}
    (tmp_path / 'x.json').write_text(json.dumps(infos))
    with pytest.raises(UserError, match=r'the first would be i/a\.png'):
        CocoSource(tmp_path, 'x.json', path='i').list_images()


def test_an_entry_that_is_listed_twice_is_one(tmp_path, write_images):
    write_images(tmp_path, 'a.png', 'b.png')
    infos = [dict(id=i, file_name=f'{name}.png') for i, name in enumerate('ab')]
    (tmp_path / 'x.json').write_text(json.dumps({'images': [*infos, infos[1]]}))

    listing = CocoSource(tmp_path, 'x.json').list_images()

    assert listing.keys == ['a.png', 'b.png']
    assert listing.problems == [f'1 entries of {tmp_path / "x.json"} are listed twice']
