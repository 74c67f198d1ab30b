"""The file knows its place and every byte of itself."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdistill.errors import UserError
from mmdistill.store import parquet
from mmdistill.store.schema import chunk_schema, rows_to_table

SCHEMA = chunk_schema(17)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder for files of single examples."""
    return tmp_path_factory.mktemp('files')


@pytest.fixture
def table(make_rows):
    """Three images, five candidates."""
    return rows_to_table(make_rows((2, None, 3)), 17)


@pytest.fixture
def read(tmp_path):
    """Read bytes as a file of origin 'here'."""

    def read(data, columns=None):
        (tmp_path / 'x.parquet').write_bytes(data)
        return parquet.read(tmp_path / 'x.parquet', 'here', SCHEMA, columns)

    return read


def test_a_table_comes_back(table, read):
    assert read(parquet.encode(table, 'here')).equals(table)


def test_some_columns_come_back(table, read):
    found = read(parquet.encode(table, 'here'), ['path', 'keypoints'])
    assert found.equals(table.select(['path', 'keypoints']))


def test_equal_tables_are_equal_bytes(table):
    assert parquet.encode(table, 'here') == parquet.encode(table, 'here')


def test_a_file_of_another_position_is_refused(table, read):
    with pytest.raises(
        UserError, match='of another label store, or of another position'
    ):
        read(parquet.encode(table, 'there'))


def test_other_columns_are_refused(table, read):
    with pytest.raises(UserError, match='does not have the columns of a label store'):
        read(parquet.encode(table.drop_columns('reason'), 'here'))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r'x\.parquet cannot be read: No such file'):
        parquet.read(tmp_path / 'x.parquet', 'here', SCHEMA)


def test_every_flipped_bit_of_the_first_and_last_bytes_is_noticed(table, read):
    data = parquet.encode(table, 'here')
    for place in [*range(40), *range(len(data) - 1500, len(data))]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        with pytest.raises(UserError, match='is damaged'):
            read(bytes(flipped))


@given(st.data())
def test_changed_bytes_are_noticed(folder, data):
    table = pa.table([[1.5, 2.5]], schema=pa.schema([pa.field('x', pa.float32())]))
    written = bytearray(parquet.encode(table, 'here'))
    places = st.integers(0, len(written) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4, unique=True)):
        written[place] ^= data.draw(st.integers(1, 255))
    (folder / 'x').write_bytes(written)
    with pytest.raises(UserError, match='is damaged'):
        parquet.read(folder / 'x', 'here', table.schema)


@given(st.integers(0, 10**6))
def test_a_cut_file_is_noticed(folder, length):
    table = pa.table([[1.5, 2.5]], schema=pa.schema([pa.field('x', pa.float32())]))
    written = parquet.encode(table, 'here')
    (folder / 'x').write_bytes(written[: length % len(written)])
    with pytest.raises(UserError, match='is damaged'):
        parquet.read(folder / 'x', 'here', table.schema)


@given(st.binary(max_size=2000))
def test_any_other_bytes_are_noticed(folder, content):
    (folder / 'x').write_bytes(content)
    with pytest.raises(UserError, match='is damaged'):
        parquet.read(folder / 'x', 'here', SCHEMA)


def test_parquet_of_others_is_noticed(table, read):
    sink = io.BytesIO()
    pq.write_table(table, sink)
    with pytest.raises(UserError, match='is damaged'):
        read(sink.getvalue())


@pytest.mark.parametrize(
    ('together', 'lengths'),
    [(1, [n % 4 for n in range(20)]), (8, [12, 12, 6]), (99, [30])],
)
def test_reads_come_in_order(table, tmp_path, together, lengths):
    parts = [table.slice(0, number % 4) for number in range(20)]
    for number, rows in enumerate(parts):
        data = parquet.encode(rows, str(number))
        (tmp_path / str(number)).write_bytes(data)
    reads = [
        parquet.partial(parquet.read, tmp_path / str(n), str(n), SCHEMA)
        for n in range(20)
    ]
    found = list(parquet.read_ahead(reads, together))
    assert [len(t) for t in found] == lengths
    assert pa.concat_tables(found).equals(pa.concat_tables(parts))
