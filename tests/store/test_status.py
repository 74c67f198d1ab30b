"""What a store says of itself."""

from __future__ import annotations

from collections import Counter

import pytest

from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.lock import RunLock
from mmdistill.store.status import (
    count_failures,
    format_failures,
    format_progress,
    store_status,
)

COUNTS = (2, 0, None, 3, 1, 0, 4, None)


@pytest.fixture
def store(tmp_path, make_store, make_rows):
    """Eight images in chunks of three."""
    return make_store(tmp_path / 'store', make_rows(COUNTS))


def test_a_complete_store(store):
    status = store_status(store)
    assert (status.images, status.done, status.chunks, status.missing) == (8, 8, 3, 0)
    assert status.candidates == 10
    assert status.failures == Counter({'no such file': 2})
    assert status.damaged == []


def test_a_missing_chunk_is_neither_done_nor_counted(store):
    (store.root / 'chunks/000001.parquet').unlink()
    status = store_status(store)
    assert (status.done, status.missing, status.candidates) == (5, 1, 6)


def test_a_damaged_chunk_is_named_and_not_done(store):
    (store.root / 'chunks/000001.parquet').write_bytes(b'PAR1')
    status = store_status(store)
    assert (status.done, status.missing) == (5, 0)
    (sentence,) = status.damaged
    assert '000001.parquet is damaged' in sentence


def test_size_is_that_of_the_files(store):
    (store.root / 'more').write_bytes(bytes(12345))
    before = store_status(store).num_bytes
    (store.root / 'more').unlink()
    assert before - store_status(store).num_bytes == 12345


def test_no_store_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match='holds no label store'):
        store_status(LabelStore(tmp_path))


def test_failures_of_some_chunks(store):
    assert count_failures(store, [0]) == Counter({'no such file': 1})
    assert count_failures(store, [1]) == Counter()


def test_failures_are_listed_by_reason_most_frequent_first():
    assert format_failures(Counter(rare=1, often=3), 8) == [
        '4 of 8 images failed (50.00%)',
        '  3: often',
        '  1: rare',
    ]


def test_the_status_in_words(store):
    lines = format_progress(store_status(store))
    assert lines[0] == 'done: 8 of 8 images, in 3 of 3 chunks, with 10 candidates'
    assert lines[1] == 'missing: 0 images, 0 chunks'
    assert lines[-1] == 'run: none'


def test_a_store_whose_run_ended_has_none(store):
    lock = RunLock(store.root)
    lock.acquire()
    lock.release()
    assert store_status(store).run == ''
