"""Two manifests, leaf by leaf."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from mmdistill.errors import UserError
from mmdistill.store.generations import Generation, chunk_spans
from mmdistill.store.manifest import (
    chunk_origin,
    differences,
    identity,
    origin,
    read_manifest,
    unrecorded,
)
from mmdistill.utils.files import read_json

STORED = {'teacher': {'weights': 'aa', 'code': 'c'}, 'views': ['0.5', '1'], 'size': 3}


def test_equal_manifests_do_not_differ():
    assert differences(STORED, dict(STORED)) == []


def test_each_leaf_that_differs_is_a_line():
    wanted = {'teacher': {'weights': 'bb', 'code': 'c'}, 'views': ['1'], 'size': 3}
    assert differences(STORED, wanted) == [
        'teacher.weights: the store has aa, this run bb',
        "views: the store has ['0.5', '1'], this run ['1']",
    ]


def test_a_leaf_that_one_side_lacks_is_a_line():
    wanted = {'teacher': {'weights': 'aa'}, 'views': ['0.5', '1'], 'size': 3, 'new': 1}
    assert differences(STORED, wanted) == [
        'new: the store has None, this run 1',
        'teacher.code: the store has c, this run None',
    ]


def test_the_identity_is_all_but_images_and_what_is_for_readers():
    manifest = {**STORED, 'about': {'img_root': 'x'}, 'images': {'count': 3}}
    assert identity(manifest) == STORED


def test_a_manifest_is_read_back(tmp_path, make_store, make_rows):
    store = make_store(tmp_path, make_rows((1, 2)))
    manifest = read_manifest(tmp_path / 'manifest.json')
    assert manifest['images']['count'] == 2
    assert manifest == store.manifest


def test_a_manifest_that_lacks_something_is_named(tmp_path):
    (tmp_path / 'manifest.json').write_text('{"images": {"generations": []}}')
    with pytest.raises(
        UserError, match=r"not one of mmdistill \(wrong: 'chunk_size'\)"
    ):
        read_manifest(tmp_path / 'manifest.json')


@pytest.mark.parametrize('other', [3, 'x', None])
def test_a_store_of_another_format_is_refused(tmp_path, make_store, make_rows, other):
    make_store(tmp_path, make_rows((1, 2)))
    manifest = read_json(tmp_path / 'manifest.json', 'it')
    (tmp_path / 'manifest.json').write_text(json.dumps({**manifest, 'format': other}))
    with pytest.raises(UserError, match=rf'has format {other}, this mmdistill reads'):
        read_manifest(tmp_path / 'manifest.json')


def test_a_store_that_names_no_format_is_of_the_first(tmp_path, make_store, make_rows):
    make_store(tmp_path, make_rows((1, 2)))
    manifest = read_json(tmp_path / 'manifest.json', 'it')
    del manifest['format']
    (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(UserError, match='has format 1, this mmdistill reads'):
        read_manifest(tmp_path / 'manifest.json')


def test_every_position_of_every_store_has_its_own_origin():
    generations = [Generation(6, 'a', 'b'), Generation(6, 'a', 'c')]
    manifests = [
        {
            **change,
            'images': {'count': 12, 'generations': list(map(asdict, generations))},
        }
        for change in (STORED, {**STORED, 'size': 4})
    ]
    names = {
        chunk_origin(manifest, place, index)
        for manifest in manifests
        for index, place in enumerate(chunk_spans(generations, 3))
    }
    lists = {origin(m, generation) for m in manifests for generation in generations}
    assert len(names | lists) == 2 * 4 + 2 * 2


def test_a_store_from_before_a_leaf_was_recorded_does_not_differ_in_it():
    run = {**STORED, 'flip_indices': [1, 0]}
    assert differences(STORED, run) == []
    assert unrecorded(STORED, run) == ['flip_indices']


def test_other_pairs_are_a_line():
    stored, run = ({**STORED, 'flip_indices': each} for each in ([1, 0], [0, 1]))
    assert differences(stored, run) == [
        'flip_indices: the store has [1, 0], this run [0, 1]'
    ]
    assert unrecorded(stored, run) == []


def test_whole_cell_agreement_differs_unless_there_is_nothing_to_add():
    stored, run = {'views': {'scale': 1}}, {'views': {'scale': 1, 'agreement': 'sub'}}
    assert differences(stored, run) == [
        'views.agreement: the store has None, this run sub'
    ]
    assert differences(stored, run, complete=True) == []
    assert unrecorded(stored, run, complete=True) == ['views.agreement']
    assert differences(run, stored, complete=True) != []
