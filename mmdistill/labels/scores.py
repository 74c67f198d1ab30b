"""What choosing a threshold needs of a store: scores, and how many images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from mmdistill.labels.columns import OK, candidate_column
from mmdistill.labels.growing_array import GrowingArray
from mmdistill.labels.store import LabelStore


@dataclass(frozen=True)
class StoreScores:
    """Scores of a store's candidates.

    Attributes:
        images: Images that could be read.
        failed: Images that could not.
        first_failure: Why the first of them could not; empty without any.
        candidates: Candidates on all images.
        selectable: Instance scores of those that have a visible keypoint: the
            others would train nothing, (S,), float32.
    """

    images: int
    failed: int
    first_failure: str
    candidates: int
    selectable: np.ndarray


def read_scores(store: LabelStore, keypoint_thr: float) -> StoreScores:
    """Read the scores of a complete store, and nothing else of it.

    Args:
        store: The store.
        keypoint_thr: Keypoint score above which a keypoint is visible.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    num_keypoints = store.num_keypoints
    selectable = GrowingArray((), np.float32)
    images = failed = candidates = 0
    reason = ''
    for table in store.scan(['status', 'reason', 'keypoint_scores', 'instance_scores']):
        scores = candidate_column(table, 'instance_scores', num_keypoints)
        keypoints = candidate_column(table, 'keypoint_scores', num_keypoints)
        selectable.append(scores[(keypoints > keypoint_thr).any(axis=1)])
        candidates += len(scores)
        reasons = table.filter(pc.field('status') != OK)['reason']
        if len(reasons) and not failed:
            reason = reasons[0].as_py()
        images += len(table) - len(reasons)
        failed += len(reasons)
    return StoreScores(images, failed, reason, candidates, selectable.finish())
