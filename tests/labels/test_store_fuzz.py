"""Whatever happens to a store's files: a sentence, never a wrong label."""

from __future__ import annotations

import random
from dataclasses import astuple

import numpy as np
import pytest

from mmdistill.errors import UserError
from mmdistill.labels.selection import read_selection
from mmdistill.labels.status import store_status

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
def test_a_size_of_chunks_that_can_not_be_is_a_sentence(store, size):
    path = store.root / 'manifest.json'
    text = path.read_text()
    path.write_text(text.replace('"chunk_size": 3', f'"chunk_size": {size}'))
    assert path.read_text() != text
    with pytest.raises(UserError, match='is not one of ours'):
        store_status(store)
