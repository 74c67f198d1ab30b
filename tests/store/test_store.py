"""The store on disk."""

from __future__ import annotations

import json
from dataclasses import fields

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdistill.errors import UserError
from mmdistill.store import Candidates, LabelStore
from tests.helpers.named_images import NamedImages

PILE = NamedImages([f'{i}.png' for i in range(7)])
COUNTS = (2, 0, None, 3, 1, 0, 4)
MANIFEST = {
    'about': {'img_root': 'here'},
    'teacher': {'weights': 'aa'},
    'views': ['1'],
    'chunk_size': 3,
    'keypoints': ['nose'],
}


def files(root):
    paths = sorted(p for p in root.rglob('*') if p.is_file())
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in paths}


def test_rows_come_back_through_chunks(tmp_path, make_rows, make_store):
    rows = make_rows(COUNTS)
    labels = make_store(tmp_path, rows).read()
    assert labels.paths.to_pylist() == [row.path for row in rows]
    for number, row in enumerate(rows):
        back = labels.candidates[np.flatnonzero(labels.image_index == number)]
        for field in fields(Candidates):
            expected = getattr(row.candidates, field.name)
            assert np.array_equal(getattr(back, field.name), expected)


def test_failed_images_keep_their_reason(tmp_path, make_rows, make_store):
    labels = make_store(tmp_path, make_rows(COUNTS)).read()
    expected = [None, None, 'no such file', None, None, None, None]
    assert labels.failures == expected


def test_a_store_without_any_candidate_reads(tmp_path, make_rows, make_store):
    labels = make_store(tmp_path, make_rows((0, None, 0, 0))).read()
    assert labels.candidates.keypoints.shape == (0, 17, 2)


def test_equal_rows_give_equal_bytes(tmp_path, make_rows, make_store):
    for name in 'ab':
        make_store(tmp_path / name, make_rows(COUNTS))
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


def test_order_of_writing_chunks_does_not_matter(
    tmp_path, make_rows, make_store, make_unlabeled
):
    rows = make_rows(COUNTS)
    first = make_store(tmp_path / 'a', rows)
    second = LabelStore(tmp_path / 'b')
    second.claim(first.manifest, make_unlabeled([row.path for row in rows]))
    for index in (2, 0, 1):
        second.write_chunk(index, rows[index * 3 : index * 3 + 3])
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


def test_the_same_manifest_continues(tmp_path):
    LabelStore(tmp_path).claim(MANIFEST, PILE)
    before = files(tmp_path)
    LabelStore(tmp_path).claim(json.loads(json.dumps(MANIFEST)), PILE)
    assert files(tmp_path) == before


def test_about_may_differ(tmp_path):
    LabelStore(tmp_path).claim(MANIFEST, PILE)
    LabelStore(tmp_path).claim({**MANIFEST, 'about': {'img_root': 'there'}}, PILE)
    assert LabelStore(tmp_path).manifest['about'] == {'img_root': 'here'}


def test_another_manifest_is_refused_with_every_difference(tmp_path):
    LabelStore(tmp_path).claim(MANIFEST, PILE)
    other = {**MANIFEST, 'teacher': {'weights': 'bb'}, 'chunk_size': 4}
    with pytest.raises(UserError) as error:
        LabelStore(tmp_path).claim(other, PILE)
    assert 'teacher.weights: the store has aa, this run bb' in str(error.value)
    assert 'chunk_size: the store has 3, this run 4' in str(error.value)
    assert 'views' not in str(error.value)


def test_a_refused_manifest_changes_nothing(tmp_path):
    LabelStore(tmp_path).claim(MANIFEST, PILE)
    before = files(tmp_path)
    with pytest.raises(UserError):
        LabelStore(tmp_path).claim({**MANIFEST, 'views': ['2']}, PILE)
    assert files(tmp_path) == before


def test_a_folder_without_a_store_is_named(tmp_path):
    with pytest.raises(UserError, match=r'holds no label store .*tools/label\.py'):
        LabelStore(tmp_path).read()


def test_missing_chunks_are_listed(tmp_path, make_rows, make_store):
    store = make_store(tmp_path, make_rows(COUNTS))
    (tmp_path / 'chunks/000001.parquet').unlink()
    assert store.missing_chunks() == [1]
    assert not store.complete


def test_an_incomplete_store_is_not_read(tmp_path, make_rows, make_store):
    store = make_store(tmp_path, make_rows(COUNTS))
    (tmp_path / 'chunks/000002.parquet').unlink()
    with pytest.raises(UserError, match='1 of 3 chunks are missing'):
        store.read()


def test_a_part_left_by_a_kill_is_no_chunk(tmp_path, make_rows, make_store):
    store = make_store(tmp_path, make_rows(COUNTS))
    chunk = tmp_path / 'chunks/000001.parquet'
    chunk.rename(tmp_path / 'chunks/.000001.parquet.1.part')
    assert store.missing_chunks() == [1]


def test_a_store_continued_after_a_kill_reads_the_same(tmp_path, make_rows, make_store):
    rows = make_rows(COUNTS)
    store = make_store(tmp_path, rows)
    whole = (tmp_path / 'chunks/000001.parquet').read_bytes()
    part = tmp_path / 'chunks/.000001.parquet.1.part'
    part.write_bytes(whole[:100])
    (tmp_path / 'chunks/000001.parquet').unlink()
    make_store(tmp_path, rows)
    assert (tmp_path / 'chunks/000001.parquet').read_bytes() == whole
    assert store.complete


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / 'taken').write_text('')
    with pytest.raises(UserError, match='could not be written'):
        LabelStore(tmp_path / 'taken').claim(MANIFEST, PILE)


def damage_truncate(data):
    return data[: len(data) // 2]


def damage_magic(data):
    return data[:-2] + b'??'


def damage_footer_length(data):
    return data[:-8] + b'\xff\xff\xff\x7f' + data[-4:]


def damage_footer(data):
    length = int.from_bytes(data[-8:-4], 'little')
    flipped = bytes(255 - byte for byte in data[-8 - length : -8])
    return data[: -8 - length] + flipped + data[-8:]


def damage_empty(data):
    return b''


@pytest.mark.parametrize(
    'damage',
    [
        damage_truncate,
        damage_magic,
        damage_footer_length,
        damage_footer,
        damage_empty,
    ],
)
def test_a_damaged_chunk_is_named(tmp_path, make_rows, make_store, damage):
    store = make_store(tmp_path, make_rows(COUNTS))
    chunk = tmp_path / 'chunks/000001.parquet'
    chunk.write_bytes(damage(chunk.read_bytes()))
    with pytest.raises(UserError, match=r'000001\.parquet is damaged .*tools/label'):
        store.read()


def test_a_foreign_parquet_is_named(tmp_path, make_rows, make_store):
    store = make_store(tmp_path, make_rows(COUNTS))
    pq.write_table(pa.table({'x': [1]}), tmp_path / 'chunks/000001.parquet')
    with pytest.raises(UserError, match=r'000001\.parquet is damaged'):
        store.read()


def test_duckdb_counts_candidates_per_image(tmp_path, make_rows, make_store):
    labels = make_store(tmp_path, make_rows(COUNTS)).read()
    counted = duckdb.sql(
        'SELECT path, len(instance_scores) AS n '
        f"FROM read_parquet('{tmp_path}/chunks/*.parquet') ORDER BY path"
    ).fetchall()
    expected = np.bincount(labels.image_index, minlength=len(COUNTS))
    assert [n for _, n in counted] == expected.tolist()


def test_duckdb_counts_what_a_threshold_keeps(
    tmp_path, make_rows, make_store, make_selection
):
    store = make_store(tmp_path, make_rows(COUNTS))
    [(kept,)] = duckdb.sql(
        'SELECT count(*) FROM (SELECT unnest(instance_scores) AS score '
        f"FROM read_parquet('{tmp_path}/chunks/*.parquet')) WHERE score >= 0.5"
    ).fetchall()
    assert kept == make_selection(0.5).kept(store.read().candidates).sum()


def test_duckdb_counts_failures_by_reason(tmp_path, make_rows, make_store):
    make_store(tmp_path, make_rows(COUNTS))
    counted = duckdb.sql(
        f"SELECT reason, count(*) FROM '{tmp_path}/chunks/*.parquet' "
        "WHERE status = 'failed' GROUP BY reason ORDER BY count(*) DESC"
    ).fetchall()
    assert counted == [('no such file', 1)]


def test_chunks_that_were_swapped_are_refused(tmp_path, make_rows, make_store):
    store = make_store(tmp_path, make_rows(COUNTS))
    first, second = (tmp_path / f'chunks/00000{i}.parquet' for i in (0, 1))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    with pytest.raises(UserError, match=r'000000\.parquet is of another label store'):
        store.read()


def test_a_chunk_of_another_store_is_refused(tmp_path, make_rows, make_store):
    store = make_store(tmp_path / 'a', make_rows(COUNTS))
    other = LabelStore(tmp_path / 'b')
    other.claim({**store.manifest, 'teacher': 'another'}, NamedImages(store.paths()))
    other.write_chunk(0, make_rows(COUNTS)[:3])
    chunk = other.root / 'chunks/000000.parquet'
    (store.root / 'chunks/000000.parquet').write_bytes(chunk.read_bytes())
    with pytest.raises(UserError, match=r'000000\.parquet is of another label store'):
        store.read()


def test_a_changed_manifest_refuses_its_chunks(tmp_path, make_rows, make_store):
    store = make_store(tmp_path, make_rows(COUNTS))
    text = (tmp_path / 'manifest.json').read_text()
    (tmp_path / 'manifest.json').write_text(text.replace('"nose"', '"mouth"'))
    with pytest.raises(UserError, match='is of another label store'):
        store.read()


@pytest.mark.parametrize('content', ['{}', '[]', 'null', '{"images": 3}', '\x00'])
def test_a_manifest_of_others_is_a_sentence(tmp_path, content):
    (tmp_path / 'manifest.json').write_text(content)
    with pytest.raises(UserError, match=r'the manifest .*manifest\.json is not '):
        LabelStore(tmp_path).read()


def test_pandas_reads_boxes(tmp_path, make_rows, make_store):
    labels = make_store(tmp_path, make_rows(COUNTS)).read()
    frame = pd.read_parquet(tmp_path / 'chunks')
    boxes = [box for boxes in frame.bboxes for box in boxes]
    assert np.array_equal(np.stack(boxes), labels.candidates.bboxes)
