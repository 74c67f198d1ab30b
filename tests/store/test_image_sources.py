"""Sources go into the columns and come back."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from mmdistill.store.schema import rows_to_table, table_to_labels


def test_columns_give_back_where_each_image_came_from(make_rows):
    given = ['b', '', 'b', 'ä/1']
    rows = [
        replace(row, source=source)
        for row, source in zip(make_rows((2, None, 0, 1)), given, strict=True)
    ]
    sources = table_to_labels(rows_to_table(rows, 17), 17).sources
    assert [sources.names[i] for i in sources.index] == given
    assert len(sources.names) == 3


def test_sources_of_chunks_joined_are_those_of_their_images(make_rows):
    tables = [
        rows_to_table(
            [replace(row, source=s) for row, s in zip(rows, names, strict=True)], 17
        )
        for names in ('ab', 'ba', 'cc')
        for rows in [make_rows((1, 2))]
    ]
    sources = table_to_labels(pa.concat_tables(tables), 17).sources
    assert ''.join(sources.names[i] for i in sources.index) == 'abbacc'
