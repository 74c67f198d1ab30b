"""The documented queries, asked of the engines that they are for."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mmdistill.store.schema import QUERY, SPARK_QUERY

COUNTS = [2, 0, None, 3]


@pytest.fixture
def store(tmp_path, make_rows, make_store):
    """Five candidates on four images, one of which failed."""
    return make_store(tmp_path, make_rows(COUNTS))


def ask_duckdb(query):
    return duckdb.sql(query).fetchall()


def ask_spark(query):
    sql = pytest.importorskip('pyspark.sql', reason='needs Spark and Java')
    with sql.SparkSession.builder.master('local[1]').getOrCreate() as session:
        return [tuple(row) for row in session.sql(query).collect()]


@pytest.mark.parametrize(
    ('ask', 'query'),
    [(ask_duckdb, QUERY), pytest.param(ask_spark, SPARK_QUERY, marks=pytest.mark.slow)],
)
def test_the_candidates_above_a_score_are_selected(store, ask, query):
    found = store.read().candidates

    rows = ask(query.format(chunks=f'{store.root}/chunks/*.parquet', score_thr=0.5))

    scores = found.instance_scores
    order = [i for i in np.argsort(-scores) if scores[i] >= 0.5]
    assert len(rows) == len(order) > 0
    for (_, bbox, score, x, y), i in zip(rows, order, strict=True):
        assert score == scores[i]
        assert list(bbox) == found.bboxes[i].tolist()
        assert [x, y] == found.keypoints[i, 0].tolist()


def test_pandas_reads_the_folder(store):
    frame = pd.read_parquet(store.root / 'chunks')

    assert frame['status'].tolist() == ['ok', 'ok', 'failed', 'ok']
    assert frame['instance_scores'].map(len).tolist() == [2, 0, 0, 3]


def test_the_columns_have_types_that_every_reader_knows(store):
    """Spark's documentation lists the types of Parquet that it reads."""
    file = pq.ParquetFile(next((store.root / 'chunks').iterdir()))
    leaves = [file.schema.column(i) for i in range(len(file.schema))]

    types = {(leaf.physical_type, str(leaf.logical_type)) for leaf in leaves}

    assert types == {('BYTE_ARRAY', 'String'), ('INT32', 'None'), ('FLOAT', 'None')}
