"""What choosing needs of a store: scores, and how many images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdistill.labels.columns import OK, candidate_column, candidate_counts
from mmdistill.labels.growing_array import GrowingArray
from mmdistill.labels.scores import Scores, score_columns, table_scores
from mmdistill.labels.sources import SourceNumbering, Sources, image_sources
from mmdistill.labels.store import LabelStore


@dataclass(frozen=True)
class StoreScores:
    """Scores of a store's candidates.

    Attributes:
        scores: Those of all candidates.
        num_candidates: Candidates of each image, (I,), int32.
        sources: Where each image came from, (I,).
        read: Which images could be read, (I,), bool.
        first_failure: Why the first of the others could not; empty without any.
    """

    scores: Scores
    num_candidates: np.ndarray
    sources: Sources
    read: np.ndarray
    first_failure: str

    @property
    def images(self) -> int:
        """Images that could be read."""
        return int(self.read.sum())

    @property
    def failed(self) -> int:
        """Images that could not."""
        return len(self.read) - self.images


def read_scores(store: LabelStore, counted_thr: float, agreement: bool) -> StoreScores:
    """Read the scores of a complete store, and nothing else of it.

    Args:
        store: The store.
        counted_thr: Keypoint score above which a keypoint counts.
        agreement: Whether the agreement of the views is asked for.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    num_keypoints = store.num_keypoints
    collected = _Collected()
    for table in store.scan(['status', 'reason', *score_columns(agreement)]):
        scores = table_scores(table, num_keypoints, counted_thr, agreement)
        collected.add(table, scores)
    return collected.result()


def read_keypoint_scores(store: LabelStore, chosen: np.ndarray) -> np.ndarray:
    """Read the keypoint scores of some candidates.

    Args:
        store: A complete store.
        chosen: Which candidates, (M,), bool.

    Returns:
        Their scores, (N, K), float32.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    num_keypoints = store.num_keypoints
    found = GrowingArray((num_keypoints,), np.float32)
    start = 0
    for table in store.scan(['keypoint_scores']):
        scores = candidate_column(table, 'keypoint_scores', num_keypoints)
        found.append(scores[chosen[start : start + len(scores)]])
        start += len(scores)
    return found.finish()


class _Collected:
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
