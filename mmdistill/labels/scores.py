"""What candidates are chosen by, wherever they are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from mmdistill.functional.keypoint_matching import label_keypoints
from mmdistill.functional.ranking import instance_agreement
from mmdistill.labels.columns import candidate_column, candidate_counts
from mmdistill.labels.sources import Sources, image_sources


class Scored(Protocol):
    """Candidates with what scores them; `Candidates` are."""

    @property
    def instance_scores(self) -> np.ndarray:
        """Instance scores, (M,)."""

    @property
    def keypoint_scores(self) -> np.ndarray:
        """Scores of the keypoints, (M, K)."""

    @property
    def keypoint_agreement(self) -> np.ndarray:
        """How far the views agree, (M, K)."""

    @property
    def category_ids(self) -> np.ndarray:
        """Categories, (M,)."""


@dataclass(frozen=True)
class Scores:
    """What instances are chosen by.

    Attributes:
        instances: Instance scores, (M,), float32.
        agreement: Agreement of the views on each instance, (M,), float32; zeros where
            it was not asked for.
        counted: Keypoints of each that count, (M,), int16.
        category_ids: Categories, (M,), int32.
        sources: Where their images came from, (M,).
    """

    instances: np.ndarray
    agreement: np.ndarray
    counted: np.ndarray
    category_ids: np.ndarray
    sources: Sources

    def __len__(self) -> int:
        return len(self.instances)


def scores_of(
    candidates: Scored, sources: Sources, counted_thr: float, agreement: bool
) -> Scores:
    """What some candidates are chosen by.

    Args:
        candidates: The candidates.
        sources: Where their images came from, (M,).
        counted_thr: Keypoint score above which a keypoint counts.
        agreement: Whether the agreement of the views is asked for.
    """
    counts = label_keypoints(candidates.keypoint_scores, counted_thr)
    agreements = (
        instance_agreement(candidates.keypoint_agreement, counts)
        if agreement
        else np.zeros(len(counts), dtype=np.float32)
    )
    return Scores(
        candidates.instance_scores,
        agreements,
        counts.sum(axis=1, dtype=np.int16),
        candidates.category_ids,
        sources,
    )


class TableCandidates:
    """Candidates of a table, a column at a time and none that is not asked for.

    Args:
        table: Rows of a store.
        num_keypoints: Keypoints of each candidate.
    """

    def __init__(self, table: pa.Table, num_keypoints: int) -> None:
        self._table = table
        self._num_keypoints = num_keypoints

    @property
    def instance_scores(self) -> np.ndarray:
        """Instance scores, (M,)."""
        return self._column('instance_scores')

    @property
    def keypoint_scores(self) -> np.ndarray:
        """Scores of the keypoints, (M, K)."""
        return self._column('keypoint_scores')

    @property
    def keypoint_agreement(self) -> np.ndarray:
        """How far the views agree, (M, K)."""
        return self._column('keypoint_agreement')

    @property
    def bboxes(self) -> np.ndarray:
        """Boxes (x1, y1, x2, y2), (M, 4)."""
        return self._column('bboxes')

    @property
    def keypoints(self) -> np.ndarray:
        """Coordinates (x, y), (M, K, 2)."""
        return self._column('keypoints')

    @property
    def category_ids(self) -> np.ndarray:
        """Categories, (M,)."""
        return self._column('category_ids')

    def _column(self, name: str) -> np.ndarray:
        return candidate_column(self._table, name, self._num_keypoints)


def score_columns(agreement: bool) -> list[str]:
    """Columns of a store that `scores_of` looks at.

    Args:
        agreement: Whether the agreement of the views is asked for.
    """
    columns = ['source', 'instance_scores', 'keypoint_scores', 'category_ids']
    return [*columns, 'keypoint_agreement'] if agreement else columns


def table_scores(
    table: pa.Table, num_keypoints: int, counted_thr: float, agreement: bool
) -> Scores:
    """What the candidates of a table with `score_columns` are chosen by.

    Args:
        table: Rows of a store.
        num_keypoints: Keypoints of each candidate.
        counted_thr: Keypoint score above which a keypoint counts.
        agreement: Whether the agreement of the views is asked for.
    """
    sources = image_sources(table)
    of_candidates = Sources(
        sources.names, np.repeat(sources.index, candidate_counts(table))
    )
    candidates = TableCandidates(table, num_keypoints)
    return scores_of(candidates, of_candidates, counted_thr, agreement)
