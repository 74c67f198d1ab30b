"""Whatever happens to a store's files: a sentence, never a wrong label."""

from __future__ import annotations

import json
import random
from dataclasses import astuple

import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.selection.selection import read_selection
from mmdistill.store.status import store_status
from mmdistill.utils.files import json_sha256
from tests.helpers.changed_json import variants

COUNTS = (2, 0, None, 3, 1, 0, 4)
CHANGES = 150
FILES = (
    'manifest.json',
    'selection.json',
    'images/000000.paths',
    'chunks/000001.parquet',
)


@pytest.fixture
def store(tmp_path, make_rows, make_store, make_selection):
    """A complete store with a selection."""
    store = make_store(tmp_path, make_rows(COUNTS))
    make_selection(0.5).write(store)
    return store


def look(store):
    """What a store says, or nothing of what it refuses."""
    found = []
    for question in (
        store.paths,
        lambda: [array.tolist() for array in astuple(store.read().candidates)],
        lambda: read_selection(store),
        lambda: store_status(store) and None,
    ):
        try:
            found.append(question())
        except UserError:
            found.append(None)
    return found


@pytest.mark.parametrize('name', FILES)
def test_a_changed_byte_is_a_sentence_or_changes_nothing(store, name):
    truth = look(store)
    assert None not in truth[:3]
    path = store.root / name
    data = path.read_bytes()
    dice = random.Random(name)
    for _ in range(CHANGES):
        place = dice.randrange(len(data))
        byte = dice.choice([data[place] ^ (1 << dice.randrange(8)), *b'01e"-,{}'])
        path.write_bytes(data[:place] + bytes([byte]) + data[place + 1 :])
        for told, right in zip(look(store), truth, strict=True):
            assert told is None or told == right


@pytest.mark.parametrize('name', FILES)
def test_a_cut_file_is_a_sentence(store, name):
    truth = look(store)
    path = store.root / name
    data = path.read_bytes()
    for length in np.linspace(0, len(data) - 2, 20).astype(int):
        path.write_bytes(data[:length])
        found = look(store)
        assert None in found[:3]
        assert all(t in (None, r) for t, r in zip(found, truth, strict=True))


@pytest.mark.parametrize('size', ['0', '-1', '"3"', '2.5'])
def test_a_size_of_chunks_that_cannot_be_is_a_sentence(store, size):
    path = store.root / 'manifest.json'
    text = path.read_text()
    path.write_text(text.replace('"chunk_size": 3', f'"chunk_size": {size}'))
    assert path.read_text() != text
    with pytest.raises(UserError, match='is not one of mmdistill'):
        store_status(store)


"""Values that a JSON may have where another is expected."""


def test_another_value_in_the_manifest_is_a_sentence_or_changes_nothing(store):
    truth = look(store)
    path = store.root / 'manifest.json'
    content = json.loads(path.read_text())
    for variant in variants(content, 'manifest'):
        path.write_text(json.dumps(variant))
        for told, right in zip(look(store), truth, strict=True):
            assert told is None or told == right


@pytest.mark.parametrize('signed', [False, True])
def test_another_value_in_the_selection_is_a_sentence(store, signed):
    """Also where whoever changed it knew how to sign it; values may differ then."""
    right = read_selection(store)
    candidates = store.read().candidates
    path = store.root / 'selection.json'
    content = json.loads(path.read_text())
    refused = 0
    for variant in variants(content, 'selection'):
        if signed and isinstance(variant, dict):
            variant.pop('sha256', None)
            variant['sha256'] = json_sha256(variant)
        path.write_text(json.dumps(variant))
        try:
            selection = read_selection(store)
            kept = selection.kept(candidates)
        except UserError:
            refused += 1
            continue
        assert signed or selection == right
        assert kept.shape == (len(candidates),)
        selection.write(store)
        assert read_selection(store) == selection
    assert refused > 100


def test_other_bytes_of_any_length_are_a_sentence(store):
    truth = look(store)
    dice = random.Random('blocks')
    for name in FILES:
        path = store.root / name
        data = path.read_bytes()
        for _ in range(25):
            first, last = sorted(dice.randrange(len(data) + 1) for _ in range(2))
            block = dice.choice([b'', bytes(last - first), dice.randbytes(9), data])
            path.write_bytes(data[:first] + block + data[last:])
            for told, right in zip(look(store), truth, strict=True):
                assert told is None or told == right
        path.write_bytes(data)


def test_a_chunk_at_the_position_of_another_is_refused(store):
    first, second = (store.root / f'chunks/00000{number}.parquet' for number in (0, 1))
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with pytest.raises(UserError, match='of another position'):
        store.read()
