"""Columns of a store, as arrays and in Parquet.

Shapes: `I` images, `M` candidates, `K` keypoints. All coordinates are pixels of
the original image. ``chunks/*.parquet`` has one row an image, in plain Parquet for
DuckDB, pandas, Spark and others:

==================  ==================  ============================================
column              type                content
==================  ==================  ============================================
path                string              relative to `about.img_root` in the manifest
source              string              folder, video or domain of the image; empty
                                        where the images have one source only
width, height       int32               pixels; 0 where the header was not readable
status              string              'ok' or 'failed'
reason              string              why it failed; of an image that was read, a
                                        note on its conversion, mostly empty
bboxes              list<float[4]>      (x1, y1, x2, y2) of each candidate
bbox_scores         list<float>         scores of the boxes
keypoints           list<float[2 K]>    x and y alternating, keypoint after keypoint
keypoint_scores     list<float[K]>      scores of the keypoints
keypoint_agreement  list<float[K]>      agreement of the views, 1 being best
instance_scores     list<float>         scores that count matching compares
category_ids        list<int32>         categories, the detections'; 1 without any
==================  ==================  ============================================

The lists of a row have equal length, one element a candidate, best first. The names
of the keypoints are in the manifest; a detection store has none, and none of their
three columns. One that was made in several views has `bbox_agreement`, list<float>: the
mean overlap of the views' boxes with each one, 1 being best. The most frequent reasons
of failed images:

    SELECT reason, count(*) FROM 'chunks/*.parquet' WHERE status = 'failed'
    GROUP BY reason ORDER BY count(*) DESC

`QUERY` and `SPARK_QUERY` select the candidates above a score, a row each, best first.
Their `chunks` is the pattern of the store's files, ``labels/chunks/*.parquet``. pandas
reads the folder ``labels/chunks``.

Stored values are finite. Older stores may hold NaN and infinity: such keypoints are
read as unknown, with score 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from mmdistill.functional.finite import box_middles, known_keypoints
from mmdistill.functional.scoring import instance_scores
from mmdistill.store.image_sources import Sources, image_sources

OK = 'ok'
FAILED = 'failed'
NONE_FINITE = 'no keypoint is finite'
"""Reason of a failed image on which a model gave only NaN or infinity."""
SOME_NOT_FINITE = 'some numbers are not finite and are no labels'
"""Note of an image that was read, with NaN or infinity among its labels."""

QUERY = """
SELECT path, bbox, score, points[1] AS nose_x, points[2] AS nose_y
FROM (
    SELECT path, unnest(bboxes) AS bbox, unnest(keypoints) AS points,
           unnest(instance_scores) AS score
    FROM read_parquet('{chunks}')
)
WHERE score >= {score_thr} ORDER BY score DESC
"""
"""Query for DuckDB, whose arrays begin at 1."""

SPARK_QUERY = """
SELECT path, one.bboxes AS bbox, one.instance_scores AS score,
       one.keypoints[0] AS nose_x, one.keypoints[1] AS nose_y
FROM (
    SELECT path, explode(arrays_zip(bboxes, keypoints, instance_scores)) AS one
    FROM parquet.`{chunks}`
)
WHERE one.instance_scores >= {score_thr} ORDER BY score DESC
"""
"""Query for Spark, whose arrays begin at 0.

Spark 4.3 reads a store directly. The fast reader of Spark 3.5 does not support the
encoding of the values (BYTE_STREAM_SPLIT): set
`spark.sql.parquet.enableNestedColumnVectorizedReader` to `false` there.
"""


NUMBERS = (
    *('bboxes', 'bbox_scores', 'instance_scores'),
    *('keypoints', 'keypoint_scores', 'keypoint_agreement'),
)
"""Columns with values that may not be finite."""
VIEWS = 'num_views'
"""Column of the number of views, which stores of adaptive views have."""
BOX_AGREEMENT = 'bbox_agreement'
"""Column of the views' agreement on boxes, which detection stores of views have."""
OPTIONAL = (VIEWS, BOX_AGREEMENT)
"""Columns that a store has only where its manifest says so."""
WHOLE = ('category_ids', VIEWS)
"""Columns of whole numbers."""
OF_KEYPOINTS = frozenset(NUMBERS[3:])
"""Columns of those that concern keypoints."""


@dataclass(frozen=True)
class Candidates:
    """Instances predicted by the teacher, before any threshold.

    Attributes:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4).
        bbox_scores: Scores of the boxes, (M,).
        keypoints: Coordinates (x, y), (M, K, 2).
        keypoint_scores: Scores of the keypoints, (M, K).
        keypoint_agreement: Agreement of the views, 1 being best, (M, K).
        instance_scores: Scores that count matching compares, (M,).
        category_ids: Categories, the detections', (M,), int32.
        num_views: Views that each was shown in, (M,), int32; 0 where the store does
            not record it, because all were shown in the same views.
        bbox_agreement: Agreement of the views on each box, (M,), float32; 0 where the
            store does not record it.
    """

    bboxes: np.ndarray
    bbox_scores: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray
    instance_scores: np.ndarray
    category_ids: np.ndarray
    num_views: np.ndarray = None  # type: ignore[assignment]
    bbox_agreement: np.ndarray = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in OPTIONAL:
            if getattr(self, name) is None:
                shape = np.shape(self.instance_scores)
                object.__setattr__(self, name, np.zeros(shape, dtype=_dtype(name)))

    def __len__(self) -> int:
        return len(self.instance_scores)

    def __getitem__(self, rows: int | slice | np.ndarray) -> Candidates:
        return Candidates(*(getattr(self, name)[rows] for name in _COLUMNS))


_COLUMNS = tuple(column.name for column in fields(Candidates))


@dataclass(frozen=True)
class ImageRow:
    """Image of the store, with its candidates if any.

    Attributes:
        path: Path relative to the image root, with forward slashes.
        width: Width in pixels; 0 when the image could not be read.
        height: Height in pixels; 0 when the image could not be read.
        status: 'ok' or 'failed'.
        reason: Why it failed; a note on its conversion if it was read.
        candidates: Predictions of the teacher.
        source: Folder, video or domain of the image; empty where there is only one.
    """

    path: str
    width: int
    height: int
    status: str
    reason: str
    candidates: Candidates
    source: str = ''


@dataclass(frozen=True)
class StoredLabels:
    """All rows of a store, column by column.

    Attributes:
        paths: Paths relative to the image root, (I,).
        sizes: Width and height of each image, (I, 2).
        failures: Reason of each failed image, None for the others, (I,).
        image_index: Image of each candidate, ascending, (M,).
        candidates: The candidates of all images.
        sources: Source of each image, (I,).
    """

    paths: pa.ChunkedArray
    sizes: np.ndarray
    failures: list[str | None]
    image_index: np.ndarray
    candidates: Candidates
    sources: Sources

    @property
    def num_read(self) -> int:
        """Number of images that could be read: the denominator of counts per image."""
        return sum(reason is None for reason in self.failures)

    @property
    def candidate_sources(self) -> Sources:
        """Source of the image of each candidate, (M,)."""
        return self.sources[self.image_index]


def empty_candidates(num_keypoints: int) -> Candidates:
    """Make an empty set of candidates with the right shapes.

    Args:
        num_keypoints: Number of keypoints, K.
    """
    return Candidates(
        *(
            np.zeros((0, *shape), dtype=_dtype(name))
            for name, shape in _shapes(num_keypoints).items()
        )
    )


def chunk_schema(num_keypoints: int, optional: Collection[str] = ()) -> pa.Schema:
    """Make the schema of a chunk: a row per image, a list per column of candidates.

    Args:
        num_keypoints: Number of keypoints of each candidate, K.
        optional: Those of the `OPTIONAL` columns that the store has.
    """
    lists = [
        pa.field(name, pa.list_(_element(name, shape)))
        for name, shape in _stored_shapes(num_keypoints, optional).items()
    ]
    return pa.schema(
        [
            pa.field('path', pa.string()),
            pa.field('source', pa.string()),
            pa.field('width', pa.int32()),
            pa.field('height', pa.int32()),
            pa.field('status', pa.string()),
            pa.field('reason', pa.string()),
            *lists,
        ]
    )


def rows_to_table(
    rows: Sequence[ImageRow], num_keypoints: int, optional: Collection[str] = ()
) -> pa.Table:
    """Arrange rows as the columns of a chunk; see `chunk_schema`.

    Args:
        rows: The rows.
        num_keypoints: Number of keypoints of each candidate, K.
        optional: Those of the `OPTIONAL` columns that the store has.
    """
    schema = chunk_schema(num_keypoints, optional)
    offsets = np.cumsum([0, *(len(row.candidates) for row in rows)], dtype=np.int32)
    columns = [
        pa.array([getattr(row, name) for row in rows], schema.field(name).type)
        for name in ('path', 'source', 'width', 'height', 'status', 'reason')
    ]
    for name, shape in _stored_shapes(num_keypoints, optional).items():
        values = np.concatenate([getattr(row.candidates, name) for row in rows])
        elements = _to_arrow(values.astype(_dtype(name)), shape)
        columns.append(pa.ListArray.from_arrays(offsets, elements))
    return pa.Table.from_arrays(columns, schema=schema)


def table_to_labels(table: pa.Table, num_keypoints: int) -> StoredLabels:
    """Read the columns of a table of chunks back into arrays.

    Args:
        table: A table of `chunk_schema`, a row an image.
        num_keypoints: Number of keypoints of its candidates, K.
    """
    counts = candidate_counts(table)
    stored = {
        name: candidate_column(table, name, num_keypoints)
        for name in _stored_shapes(num_keypoints, table.column_names)
    }
    absent = {
        name: np.zeros((counts.sum(), *shape), dtype=_dtype(name))
        for name, shape in _shapes(num_keypoints).items()
        if name not in stored
    }
    sizes = [table.column(name).to_numpy() for name in ('width', 'height')]
    failed = np.array(table.column('status')) == FAILED
    reasons = table.column('reason').to_pylist()
    return StoredLabels(
        paths=table.column('path'),
        sizes=np.stack(sizes, axis=1),
        failures=[r if bad else None for r, bad in zip(reasons, failed, strict=True)],
        image_index=np.repeat(np.arange(len(counts)), counts),
        candidates=Candidates(**stored, **absent),
        sources=image_sources(table),
    )


def replace_columns(
    table: pa.Table, values: Mapping[str, np.ndarray], num_keypoints: int
) -> pa.Table:
    """Replace some columns of candidates in a table.

    Args:
        table: A table of one chunk or more, with `instance_scores`.
        values: New values, attributes of `Candidates` by name, (M, ...).
        num_keypoints: Keypoints of each candidate.
    """
    offsets = table['instance_scores'].combine_chunks().offsets
    for name, column in values.items():
        elements = _to_arrow(column.astype(_dtype(name)), _shapes(num_keypoints)[name])
        column_index = table.schema.get_field_index(name)
        lists = pa.ListArray.from_arrays(offsets, elements)
        table = table.set_column(column_index, table.schema.field(column_index), lists)
    return table


def candidate_counts(table: pa.Table) -> np.ndarray:
    """Count the candidates of each image.

    Args:
        table: A table with the column `instance_scores`, a row an image.

    Returns:
        Numbers of candidates, (I,).
    """
    return np.diff(table['instance_scores'].combine_chunks().offsets.to_numpy())


def candidate_column(table: pa.Table, name: str, num_keypoints: int) -> np.ndarray:
    """Convert one column of a table's candidates, without a copy.

    Args:
        table: A table of one chunk or more.
        name: An attribute of `Candidates`.
        num_keypoints: Keypoints of each candidate.

    Returns:
        The attribute of `Candidates`, (M, ...), read-only.
    """
    return _from_arrow(table[name].combine_chunks(), _shapes(num_keypoints)[name])


def columns_to_check(columns: Sequence[str] | None) -> Sequence[str] | None:
    """Extend requested columns by those that are needed to check them.

    Args:
        columns: Requested columns, None for all.
    """
    if columns is None or not OF_KEYPOINTS & set(columns):
        return columns
    return [*columns, *(name for name in NUMBERS if name not in columns)]


def with_finite_numbers(table: pa.Table, num_keypoints: int) -> pa.Table:
    """Replace non-finite keypoints of a table by unknown ones.

    Unknown keypoints have score 0, agreement 0 and the middle of their box as
    coordinates, and do not count in the score of their instance. A non-finite box is
    replaced by an empty one.

    Args:
        table: Rows of a store of labels, with the columns of `columns_to_check`.
        num_keypoints: Keypoints of each candidate.

    Returns:
        The table; the same object where all values are finite.
    """
    if not set(NUMBERS) <= set(table.column_names):
        return table
    columns = {name: candidate_column(table, name, num_keypoints) for name in NUMBERS}
    # The sum of numbers is finite where each of them is.
    if all(np.isfinite(values.sum(dtype=np.float64)) for values in columns.values()):
        return table
    return replace_columns(table, _cleaned(columns), num_keypoints)


def _cleaned(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns in which unknown keypoints and non-finite boxes are replaced."""
    bboxes, bbox_scores, instances, keypoints, scores, agreement = columns.values()
    boxed = np.isfinite(bboxes).all(axis=1) & np.isfinite(bbox_scores)
    known = known_keypoints(keypoints, scores, agreement) & boxed[:, None]
    bbox_scores = np.where(np.isfinite(bbox_scores), bbox_scores, 0)
    scores = np.where(known, scores, 0)
    unchanged = known.all(axis=1) & np.isfinite(instances)
    values = (
        np.where(boxed[:, None], bboxes, 0),
        bbox_scores,
        np.where(unchanged, instances, instance_scores(bbox_scores, scores)),
        np.where(known[..., None], keypoints, box_middles(bboxes)[:, None]),
        scores,
        np.where(known, agreement, 0),
    )
    return dict(zip(columns, values, strict=True))


def _shapes(num_keypoints: int) -> dict[str, tuple[int, ...]]:
    """Shape of one candidate's value in each column."""
    return {
        'bboxes': (4,),
        'bbox_scores': (),
        'keypoints': (num_keypoints, 2),
        'keypoint_scores': (num_keypoints,),
        'keypoint_agreement': (num_keypoints,),
        'instance_scores': (),
        'category_ids': (),
        VIEWS: (),
        BOX_AGREEMENT: (),
    }


def _stored_shapes(
    num_keypoints: int, optional: Collection[str]
) -> dict[str, tuple[int, ...]]:
    """Shapes of the stored columns: Parquet has no lists of zero values."""
    return {
        name: shape
        for name, shape in _shapes(num_keypoints).items()
        if 0 not in shape and (name not in OPTIONAL or name in optional)
    }


def _dtype(name: str) -> type[np.generic]:
    return np.int32 if name in WHOLE else np.float32


def _element(name: str, shape: tuple[int, ...]) -> pa.DataType:
    """Arrow type of one candidate's value; x and y of keypoints alternate."""
    kind = pa.from_numpy_dtype(_dtype(name))
    return pa.list_(kind, int(np.prod(shape))) if shape else kind


def _to_arrow(values: np.ndarray, shape: tuple[int, ...]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if not shape:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))


def _from_arrow(lists: pa.ListArray, shape: tuple[int, ...]) -> np.ndarray:
    elements = lists.flatten()
    flat = elements.flatten() if shape else elements
    return flat.to_numpy(zero_copy_only=True).reshape(-1, *shape)
