"""A store's folder as other programs meet it."""

from __future__ import annotations

import re

import duckdb
import pandas
import pyarrow.parquet as pq
import pytest

from mmdistill.errors import UserError
from mmdistill.store import LabelStore
from mmdistill.store.store import TEXT

COUNTS = (2, 0, None, 3, 1, 0, 4)


@pytest.fixture
def store(tmp_path, make_rows, make_store):
    return make_store(tmp_path / 'labels', make_rows(COUNTS))


def test_what_is_parquet_by_its_name_has_each_image_once(store):
    files = sorted(store.root.rglob('*.parquet'))
    assert {file.parent.name for file in files} == {'chunks'}
    rows = sum(pq.ParquetFile(file).metadata.num_rows for file in files)
    assert rows == len(COUNTS)
    everything = f"SELECT count(*) FROM '{store.root}/**/*.parquet'"
    assert duckdb.sql(everything).fetchall() == [(len(COUNTS),)]


def test_the_snippets_of_its_readme_read_it(store, monkeypatch):
    monkeypatch.chdir(store.root)
    text = (store.root / 'README.md').read_text()
    assert text == TEXT.format(name='label store', row='candidates')
    (query,) = re.findall(r'duckdb\.sql\("(.*)"\)', text)
    assert duckdb.sql(query).fetchall() == [(len(COUNTS),)]
    (folder,) = re.findall(r"pandas\.read_parquet\('(.*)'\)", text)
    assert len(pandas.read_parquet(folder)) == len(COUNTS)


def test_its_head_names_the_chunks_alone(store):
    _, head, _ = (store.root / 'README.md').read_text().split('---\n', 2)
    assert 'data_files: chunks/*.parquet' in head


def test_a_readme_of_the_user_stays(store, make_unlabeled):
    (store.root / 'README.md').write_text('mine')
    pile = make_unlabeled([*store.paths(), 'new.png'])
    store.claim(store.manifest, pile)
    assert (store.root / 'README.md').read_text() == 'mine'


def test_a_store_that_began_under_the_older_name_is_read_and_grows(
    store, make_unlabeled
):
    list_ = store.root / 'images/000000.paths'
    list_.rename(list_.with_suffix('.parquet'))
    (store.root / 'README.md').unlink()
    right = store.read().paths.to_pylist()
    assert store.paths() == right
    store.claim(store.manifest, make_unlabeled([*right, 'new.png']))
    assert store.paths() == [*right, 'new.png']
    names = sorted(file.name for file in (store.root / 'images').iterdir())
    assert names == ['000000.parquet', '000001.paths']
    assert (store.root / 'README.md').is_file()


def test_a_list_of_images_that_is_gone_is_written_again(store, make_unlabeled):
    paths = store.paths()
    before = (store.root / 'images/000000.paths').read_bytes()
    (store.root / 'images/000000.paths').unlink()
    with pytest.raises(UserError, match=r'tools/label\.py writes it again'):
        store.paths()
    store.claim(store.manifest, make_unlabeled([*paths, 'new.png']))
    assert (store.root / 'images/000000.paths').read_bytes() == before
    assert store.paths() == [*paths, 'new.png']


def test_it_is_not_made_up(store, make_unlabeled):
    (store.root / 'images/000000.paths').unlink()
    pile = make_unlabeled([f'{number}.png' for number in range(len(COUNTS))])
    with pytest.raises(UserError, match=r'distill\.store or remove this one'):
        LabelStore(store.root).claim(store.manifest, pile)
