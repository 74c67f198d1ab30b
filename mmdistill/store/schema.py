"""The store's columns as arrays, and their form in Parquet.

Shapes: `I` images, `M` candidates, `K` keypoints. All coordinates are pixels of
the original image. ``chunks/*.parquet`` has one row an image, in plain Parquet for
DuckDB, pandas, Spark and others:

==================  ==================  ============================================
column              type                content
==================  ==================  ============================================
path                string              relative to `about.img_root` in the manifest
source              string              folder, video or domain it came from; empty
                                        where the images have one source only
width, height       int32               pixels; 0 where not even the header was read
status              string              'ok' or 'failed'
reason              string              why it failed; of an image that was read, what
                                        is to be known of it, mostly nothing
bboxes              list<float[4]>      (x1, y1, x2, y2) of each candidate
bbox_scores         list<float>         scores of the boxes
keypoints           list<float[2 K]>    x and y by turns, keypoint after keypoint
keypoint_scores     list<float[K]>      scores of the keypoints
keypoint_agreement  list<float[K]>      how far the views agree, 1 being best
instance_scores     list<float>         what the threshold is compared with
category_ids        list<int32>         categories, the detections'; 1 without any
==================  ==================  ============================================

The lists of a row are equally long, one element a candidate, best first. The names
of the keypoints stand in the manifest; a detection store has none, and none of their
three columns. The most frequent reasons, and the number of candidates above a score
(see also `mmdistill.store.schema`):

    SELECT reason, count(*) FROM 'chunks/*.parquet' WHERE status = 'failed'
    GROUP BY reason ORDER BY count(*) DESC

A question to a label store, as DuckDB and Spark ask it.

The candidates above a score, a row each, best first. `chunks` is the pattern of the
store's files, ``labels/chunks/*.parquet``. pandas reads ``labels/chunks`` as it stands.

Candidates of a table whose numbers are finite, whoever wrote them.

What is stored today is finite. Stores that were written before that was made sure may
hold NaN and infinity: such keypoints read as those that nothing is known of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa

from mmdistill.functional.finite import box_middles, known_keypoints
from mmdistill.functional.scoring import instance_scores
from mmdistill.store.sources import Sources, image_sources

OK = 'ok'
FAILED = 'failed'
NONE_FINITE = 'no keypoint is finite'
"""Why an image has failed on which a model gave NaN or infinity alone."""
SOME_NOT_FINITE = 'some numbers are not finite and are no labels'
"""What is said of an image, which was read, with NaN or infinity among its labels."""


@dataclass(frozen=True)
class Candidates:
    """Instances the teacher found, before any threshold.

    Attributes:
        bboxes: Boxes (x1, y1, x2, y2), (M, 4).
        bbox_scores: Scores of the boxes, (M,).
        keypoints: Coordinates (x, y), (M, K, 2).
        keypoint_scores: Scores of the keypoints, (M, K).
        keypoint_agreement: How far the views agree, 1 being best, (M, K).
        instance_scores: Scores that count matching compares, (M,).
        category_ids: Categories, the detections', (M,), int32.
    """

    bboxes: np.ndarray
    bbox_scores: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    keypoint_agreement: np.ndarray
    instance_scores: np.ndarray
    category_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.instance_scores)

    def __getitem__(self, rows: int | slice | np.ndarray) -> Candidates:
        return Candidates(*(getattr(self, f.name)[rows] for f in fields(self)))


@dataclass(frozen=True)
class ImageRow:
    """One image of the store, whether anything was found on it or not.

    Attributes:
        path: Path relative to the image root, with forward slashes.
        width: Width in pixels; 0 when the image could not be read.
        height: Height in pixels; 0 when the image could not be read.
        status: 'ok' or 'failed'.
        reason: Why it failed; of an image that was read, what is to be known of it.
        candidates: What the teacher found.
        source: Folder, video or domain that it came from; empty where there is one.
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
        sources: Where each image came from, (I,).
    """

    paths: pa.ChunkedArray
    sizes: np.ndarray
    failures: list[str | None]
    image_index: np.ndarray
    candidates: Candidates
    sources: Sources

    @property
    def num_read(self) -> int:
        """Images that could be read: the denominator of counts per image."""
        return sum(reason is None for reason in self.failures)

    @property
    def candidate_sources(self) -> Sources:
        """Where the image of each candidate came from, (M,)."""
        return self.sources[self.image_index]


def empty_candidates(num_keypoints: int) -> Candidates:
    """No candidates, in the right shapes."""
    return Candidates(
        *(
            np.zeros((0, *shape), dtype=_dtype(name))
            for name, shape in _shapes(num_keypoints).items()
        )
    )


def chunk_schema(num_keypoints: int) -> pa.Schema:
    """Columns of a chunk: one row per image, a list per column of candidates."""
    lists = [
        pa.field(name, pa.list_(_element(name, shape)))
        for name, shape in _stored_shapes(num_keypoints).items()
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


def rows_to_table(rows: Sequence[ImageRow], num_keypoints: int) -> pa.Table:
    """Arrange rows as the columns of a chunk."""
    schema = chunk_schema(num_keypoints)
    offsets = np.cumsum([0, *(len(row.candidates) for row in rows)], dtype=np.int32)
    columns = [
        pa.array([getattr(row, name) for row in rows], schema.field(name).type)
        for name in ('path', 'source', 'width', 'height', 'status', 'reason')
    ]
    for name, shape in _stored_shapes(num_keypoints).items():
        values = np.concatenate([getattr(row.candidates, name) for row in rows])
        elements = _to_arrow(values.astype(_dtype(name)), shape)
        columns.append(pa.ListArray.from_arrays(offsets, elements))
    return pa.Table.from_arrays(columns, schema=schema)


def table_to_labels(table: pa.Table, num_keypoints: int) -> StoredLabels:
    """Read the columns of a table of chunks back into arrays."""
    counts = candidate_counts(table)
    stored = {
        name: candidate_column(table, name, num_keypoints)
        for name in _stored_shapes(num_keypoints)
    }
    nothing = {
        name: np.zeros((counts.sum(), *shape), dtype=np.float32)
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
        candidates=Candidates(**stored, **nothing),
        sources=image_sources(table),
    )


def replace_columns(
    table: pa.Table, values: Mapping[str, np.ndarray], num_keypoints: int
) -> pa.Table:
    """Put other values of the candidates into some columns of a table.

    Args:
        table: A table of one chunk or more, with `instance_scores`.
        values: Attributes of `Candidates` by name, (M, ...).
        num_keypoints: Keypoints of each candidate.
    """
    offsets = table['instance_scores'].combine_chunks().offsets
    for name, column in values.items():
        elements = _to_arrow(column.astype(_dtype(name)), _shapes(num_keypoints)[name])
        place = table.schema.get_field_index(name)
        lists = pa.ListArray.from_arrays(offsets, elements)
        table = table.set_column(place, table.schema.field(place), lists)
    return table


def candidate_counts(table: pa.Table) -> np.ndarray:
    """Candidates of each image of a table with `instance_scores`, (I,)."""
    return np.diff(table['instance_scores'].combine_chunks().offsets.to_numpy())


def candidate_column(table: pa.Table, name: str, num_keypoints: int) -> np.ndarray:
    """One column of a table's candidates, without a copy.

    Args:
        table: A table of one chunk or more.
        name: An attribute of `Candidates`.
        num_keypoints: Keypoints of each candidate.

    Returns:
        As `Candidates` has it, (M, ...), read-only.
    """
    return _from_arrow(table[name].combine_chunks(), _shapes(num_keypoints)[name])


def _shapes(num_keypoints: int) -> dict[str, tuple[int, ...]]:
    return {
        'bboxes': (4,),
        'bbox_scores': (),
        'keypoints': (num_keypoints, 2),
        'keypoint_scores': (num_keypoints,),
        'keypoint_agreement': (num_keypoints,),
        'instance_scores': (),
        'category_ids': (),
    }


def _stored_shapes(num_keypoints: int) -> dict[str, tuple[int, ...]]:
    """Those that have a column: Parquet knows no lists of no numbers."""
    shapes = _shapes(num_keypoints)
    return {name: shape for name, shape in shapes.items() if 0 not in shape}


def _dtype(name: str) -> type[np.generic]:
    return np.int32 if name == 'category_ids' else np.float32


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


QUERY = """
SELECT path, bbox, score, points[1] AS nose_x, points[2] AS nose_y
FROM (
    SELECT path, unnest(bboxes) AS bbox, unnest(keypoints) AS points,
           unnest(instance_scores) AS score
    FROM read_parquet('{chunks}')
)
WHERE score >= {score_thr} ORDER BY score DESC
"""
"""For DuckDB, whose arrays begin at 1."""

SPARK_QUERY = """
SELECT path, one.bboxes AS bbox, one.instance_scores AS score,
       one.keypoints[0] AS nose_x, one.keypoints[1] AS nose_y
FROM (
    SELECT path, explode(arrays_zip(bboxes, keypoints, instance_scores)) AS one
    FROM parquet.`{chunks}`
)
WHERE one.instance_scores >= {score_thr} ORDER BY score DESC
"""
"""For Spark, whose arrays begin at 0.

Spark 4.3 reads a store as it stands. The fast reader of Spark 3.5 does not know how
the numbers are encoded (BYTE_STREAM_SPLIT): set
`spark.sql.parquet.enableNestedColumnVectorizedReader` to `false` there.
"""


NUMBERS = (
    *('bboxes', 'bbox_scores', 'instance_scores'),
    *('keypoints', 'keypoint_scores', 'keypoint_agreement'),
)
"""Columns that hold numbers which may not be finite."""
OF_KEYPOINTS = frozenset(NUMBERS[3:])


def columns_to_check(columns: Sequence[str] | None) -> Sequence[str] | None:
    """Name the columns to read so that what is asked for can be checked.

    Args:
        columns: Columns that are asked for, None for all.
    """
    if columns is None or not OF_KEYPOINTS & set(columns):
        return columns
    return [*columns, *(name for name in NUMBERS if name not in columns)]


def with_finite_numbers(table: pa.Table, num_keypoints: int) -> pa.Table:
    """Make keypoints of a table that are not finite such that nothing is known of.

    They have score 0, agreement 0 and the middle of their box as coordinates, and do
    not count in the score of their instance. A box that is not finite is empty.

    Args:
        table: Rows of a store of labels, with the columns of `columns_to_check`.
        num_keypoints: Keypoints of each candidate.

    Returns:
        The table itself where all is finite.
    """
    if not set(NUMBERS) <= set(table.column_names):
        return table
    columns = {name: candidate_column(table, name, num_keypoints) for name in NUMBERS}
    # The sum of numbers is finite where each of them is.
    if all(np.isfinite(each.sum(dtype=np.float64)) for each in columns.values()):
        return table
    return replace_columns(table, _cleaned(columns), num_keypoints)


def _cleaned(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    bboxes, bbox_scores, instances, keypoints, scores, agreement = columns.values()
    boxed = np.isfinite(bboxes).all(axis=1) & np.isfinite(bbox_scores)
    known = known_keypoints(keypoints, scores, agreement) & boxed[:, None]
    bbox_scores = np.where(np.isfinite(bbox_scores), bbox_scores, 0)
    scores = np.where(known, scores, 0)
    stays = known.all(axis=1) & np.isfinite(instances)
    values = (
        np.where(boxed[:, None], bboxes, 0),
        bbox_scores,
        np.where(stays, instances, instance_scores(bbox_scores, scores)),
        np.where(known[..., None], keypoints, box_middles(bboxes)[:, None]),
        scores,
        np.where(known, agreement, 0),
    )
    return dict(zip(columns, values, strict=True))
