"""Candidates of a table whose numbers are finite, whoever wrote them.

What is stored today is finite. Stores that were written before that was made sure may
hold NaN and infinity: such keypoints read as those that nothing is known of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mmdistill.functional.finite import box_middles, known_keypoints
from mmdistill.functional.scoring import instance_scores
from mmdistill.labels.columns import candidate_column, replace_columns

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
