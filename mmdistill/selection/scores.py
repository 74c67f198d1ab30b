"""Scores that a selection compares, of candidates in memory, tables and stores.

A selection reads only the scores of a store, and the number of its images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdistill.functional.count_matching import label_keypoints
from mmdistill.functional.ranking import instance_agreement
from mmdistill.store.image_sources import SourceNumbering, Sources, image_sources
from mmdistill.store.schema import (
    BOX_AGREEMENT,
    OF_KEYPOINTS,
    OK,
    candidate_column,
    candidate_counts,
)
from mmdistill.store.store import LabelStore
from mmdistill.utils.growing_array import GrowingArray


class Scored(Protocol):
    """Candidates with their scores, as `Candidates` and `TableCandidates` are.

    >>> candidates: Scored = TableCandidates(next(store.scan()), store.num_keypoints)
    >>> candidates.instance_scores.tolist()
    [0.875, 0.5, 0.75]
    """

    @property
    def instance_scores(self) -> np.ndarray:
        """Instance scores, (M,)."""

    @property
    def keypoint_scores(self) -> np.ndarray:
        """Scores of the keypoints, (M, K)."""

    @property
    def keypoint_agreement(self) -> np.ndarray:
        """Agreement of the views, (M, K)."""

    @property
    def bbox_agreement(self) -> np.ndarray:
        """Agreement of the views on the boxes, (M,)."""

    @property
    def category_ids(self) -> np.ndarray:
        """Categories, (M,)."""


@dataclass(frozen=True)
class Scores:
    """Scores of candidates that a selection compares.

    Attributes:
        instances: Instance scores, (M,), float32.
        agreement: Agreement of the views on each instance, (M,), float32; zeros where
            it was not requested.
        counted: Number of keypoints of each that count, (M,), int16; 1 for a box, which
            has none and counts as a whole.
        category_ids: Categories, (M,), int32.
        sources: Sources of their images, (M,).

    >>> scores = read_scores(store, counted_thr=0.2, agreement=False).scores
    >>> len(scores), scores.counted.tolist()
    (3, [2, 2, 2])
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
    """Compute the scores of candidates.

    A candidate without keypoints is a box: its agreement is that of the views on it.

    Args:
        candidates: The candidates.
        sources: Sources of their images, (M,).
        counted_thr: Keypoint score above which a keypoint counts.
        agreement: Whether the agreement of the views is needed.

    >>> labels = store.read()
    >>> scores = scores_of(labels.candidates, labels.candidate_sources, 0.2, True)
    >>> scores.agreement.tolist()
    [0.5, 0.5, 0.5]
    """
    instances = candidates.instance_scores
    counts = label_keypoints(candidates.keypoint_scores, counted_thr)
    of_boxes = counts.shape[1] == 0
    agreements = np.zeros(len(instances), dtype=np.float32)
    if agreement and of_boxes:
        agreements = candidates.bbox_agreement
    elif agreement:
        agreements = instance_agreement(candidates.keypoint_agreement, counts)
    counted = (
        np.ones(len(instances), dtype=np.int16)
        if of_boxes
        else counts.sum(axis=1, dtype=np.int16)
    )
    return Scores(instances, agreements, counted, candidates.category_ids, sources)


class TableCandidates:
    """Candidates of a table, whose columns are converted on access.

    Args:
        table: Rows of a store.
        num_keypoints: Keypoints of each candidate.

    >>> TableCandidates(next(store.scan()), num_keypoints=2).keypoints.shape
    (3, 2, 2)
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
        """Agreement of the views, (M, K)."""
        return self._column('keypoint_agreement')

    @property
    def bbox_agreement(self) -> np.ndarray:
        """Agreement of the views on the boxes, (M,)."""
        return self._column(BOX_AGREEMENT)

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
        if name in OF_KEYPOINTS and not self._num_keypoints:
            # A table of boxes has no such column.
            shape = (int(candidate_counts(self._table).sum()), 0)
            return np.zeros((*shape, 2) if name == 'keypoints' else shape, np.float32)
        return candidate_column(self._table, name, self._num_keypoints)


def score_columns(agreement: bool, num_keypoints: int) -> list[str]:
    """List the columns of a store that `scores_of` reads.

    Args:
        agreement: Whether the agreement of the views is needed.
        num_keypoints: Keypoints of each candidate; 0 for boxes.

    >>> score_columns(agreement=False, num_keypoints=17)
    ['source', 'instance_scores', 'category_ids', 'keypoint_scores']
    >>> score_columns(agreement=True, num_keypoints=0)
    ['source', 'instance_scores', 'category_ids', 'bbox_agreement']
    """
    columns = ['source', 'instance_scores', 'category_ids']
    columns += ['keypoint_scores'] if num_keypoints else []
    of_views = 'keypoint_agreement' if num_keypoints else BOX_AGREEMENT
    return [*columns, of_views] if agreement else columns


def table_scores(
    table: pa.Table, num_keypoints: int, counted_thr: float, agreement: bool
) -> Scores:
    """Compute the scores of the candidates of a table with `score_columns`.

    Args:
        table: Rows of a store.
        num_keypoints: Keypoints of each candidate.
        counted_thr: Keypoint score above which a keypoint counts.
        agreement: Whether the agreement of the views is needed.

    >>> table = next(store.scan(score_columns(False, num_keypoints=2)))
    >>> table_scores(table, 2, counted_thr=0.2, agreement=False).instances.tolist()
    [0.875, 0.5, 0.75]
    """
    sources = image_sources(table)
    candidate_sources = Sources(
        sources.names, np.repeat(sources.index, candidate_counts(table))
    )
    candidates = TableCandidates(table, num_keypoints)
    return scores_of(candidates, candidate_sources, counted_thr, agreement)


@dataclass(frozen=True)
class StoreScores:
    """Scores of a store's candidates.

    Attributes:
        scores: Scores of all candidates.
        num_candidates: Candidates of each image, (I,), int32.
        sources: Source of each image, (I,).
        read: Mask of the images that could be read, (I,), bool.
        first_failure: Reason of the first failed image; empty without any.

    >>> scores = read_scores(store, counted_thr=0.2, agreement=False)
    >>> scores.images, scores.failed, scores.num_candidates.tolist()
    (2, 1, [2, 1, 0])
    """

    scores: Scores
    num_candidates: np.ndarray
    sources: Sources
    read: np.ndarray
    first_failure: str

    @property
    def images(self) -> int:
        """Number of images that could be read."""
        return int(self.read.sum())

    @property
    def failed(self) -> int:
        """Number of images that could not be read."""
        return len(self.read) - self.images


def read_scores(store: LabelStore, counted_thr: float, agreement: bool) -> StoreScores:
    """Read the scores of a complete store, and no other column.

    Args:
        store: The store.
        counted_thr: Keypoint score above which a keypoint counts.
        agreement: Whether the agreement of the views is needed.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.

    >>> read_scores(store, counted_thr=0.2, agreement=False).scores.instances.tolist()
    [0.875, 0.5, 0.75]
    """
    num_keypoints = store.num_keypoints
    collected = _ScoreCollector()
    for table in store.scan(
        ['status', 'reason', *score_columns(agreement, num_keypoints)]
    ):
        scores = table_scores(table, num_keypoints, counted_thr, agreement)
        collected.add(table, scores)
    return collected.result()


def read_keypoint_scores(store: LabelStore, chosen: np.ndarray) -> np.ndarray:
    """Read the keypoint scores of selected candidates.

    Args:
        store: A complete store.
        chosen: Mask of the candidates, (M,), bool.

    Returns:
        Their scores, (N, K), float32.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.

    >>> read_keypoint_scores(store, np.array([True, False, False])).tolist()
    [[0.75, 0.5]]
    """
    num_keypoints = store.num_keypoints
    collected = GrowingArray((num_keypoints,), np.float32)
    start = 0
    for table in store.scan(['keypoint_scores']):
        scores = candidate_column(table, 'keypoint_scores', num_keypoints)
        collected.append(scores[chosen[start : start + len(scores)]])
        start += len(scores)
    return collected.finish()


class _ScoreCollector:
    """Accumulator of `StoreScores` over the tables of a store."""

    def __init__(self) -> None:
        self.numbering = SourceNumbering()
        self.failed = 0
        self.reason = ''
        self.read = GrowingArray((), np.bool_)
        self.num_candidates = GrowingArray((), np.int32)
        self.image_sources = GrowingArray((), np.int32)
        self.sources = GrowingArray((), np.int32)
        self.instances = GrowingArray((), np.float32)
        self.agreement = GrowingArray((), np.float32)
        self.counted = GrowingArray((), np.int16)
        self.category_ids = GrowingArray((), np.int32)

    def add(self, table: pa.Table, scores: Scores) -> None:
        reasons = table.filter(pc.field('status') != OK)['reason']
        if len(reasons) and not self.failed:
            self.reason = reasons[0].as_py()
        self.failed += len(reasons)
        self.read.append(np.array(table['status']) == OK)
        counts = candidate_counts(table)
        self.num_candidates.append(counts)
        of_images = self.numbering.number(image_sources(table))
        self.image_sources.append(of_images)
        self.sources.append(np.repeat(of_images, counts))
        self.instances.append(scores.instances)
        self.agreement.append(scores.agreement)
        self.counted.append(scores.counted)
        self.category_ids.append(scores.category_ids)

    def result(self) -> StoreScores:
        names = self.numbering.names
        scores = Scores(
            self.instances.finish(),
            self.agreement.finish(),
            self.counted.finish(),
            self.category_ids.finish(),
            Sources(names, self.sources.finish()),
        )
        return StoreScores(
            scores,
            self.num_candidates.finish(),
            Sources(names, self.image_sources.finish()),
            self.read.finish(),
            self.reason,
        )
