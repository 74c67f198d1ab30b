"""What training needs of a store, and no more: labels that are kept, as few arrays.

Chunk by chunk the columns that decide are read, and of the others the rows that are
kept. The result is arrays alone, no objects: processes that are forked share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmdistill.labels.columns import candidate_column, candidate_counts
from mmdistill.labels.growing_array import GrowingArray
from mmdistill.labels.store import LabelStore

COLUMNS = (
    *('path', 'width', 'height'),
    *('bboxes', 'keypoints', 'keypoint_scores', 'instance_scores', 'category_ids'),
)


@dataclass(frozen=True)
class TrainingLabels:
    """Labels that train something, and where their images are.

    Attributes:
        paths: Paths of the images that have labels, (J,).
        path_index: For each label the position of its path, (N,), int32.
        image_index: For each label the number of its image in the store, (N,), int32.
        bboxes: Boxes (x1, y1, x2, y2) in pixels within their image, (N, 4), float32.
        keypoints: Coordinates (x, y) in pixels of the image, (N, K, 2), float32.
        visible: Which keypoints are labels, (N, K), bool.
        category_ids: Categories, (N,), int32.
        num_candidates: Candidates in the store.
        best_score: Highest instance score of them; -inf without any.
    """

    paths: pa.Array
    path_index: np.ndarray
    image_index: np.ndarray
    bboxes: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    category_ids: np.ndarray
    num_candidates: int
    best_score: float

    def __len__(self) -> int:
        return len(self.path_index)


def read_training_labels(
    store: LabelStore, score_thr: float, keypoint_thr: float
) -> TrainingLabels:
    """Read the candidates that train something.

    Args:
        store: A complete store.
        score_thr: Instance score from which a candidate is kept.
        keypoint_thr: Keypoint score above which a keypoint is visible. Candidates
            without one, or whose box is empty on its image, are left out.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    num_keypoints = store.num_keypoints
    collected = _Collected(num_keypoints)
    for table in store.scan(COLUMNS):
        collected.add(table, num_keypoints, score_thr, keypoint_thr)
    return collected.result()


class _Collected:
    def __init__(self, num_keypoints: int) -> None:
        self.paths: list[pa.Array] = []
        self.num_images = self.num_paths = self.num_candidates = 0
        self.best = float('-inf')
        self.path_index = GrowingArray((), np.int32)
        self.image_index = GrowingArray((), np.int32)
        self.bboxes = GrowingArray((4,), np.float32)
        self.keypoints = GrowingArray((num_keypoints, 2), np.float32)
        self.visible = GrowingArray((num_keypoints,), np.bool_)
        self.category_ids = GrowingArray((), np.int32)

    def add(
        self, table: pa.Table, num_keypoints: int, score_thr: float, keypoint_thr: float
    ) -> None:
        found = {
            name: candidate_column(table, name, num_keypoints) for name in COLUMNS[3:]
        }
        counts = candidate_counts(table)
        images = np.repeat(np.arange(len(counts)), counts)
        sizes = np.stack([table[name].to_numpy() for name in ('width', 'height')], 1)
        visible = found['keypoint_scores'] > keypoint_thr
        boxes = _clipped(found['bboxes'], sizes[images])
        kept = (found['instance_scores'] >= np.float32(score_thr)) & visible.any(axis=1)
        rows = np.flatnonzero(kept & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
        used, position = np.unique(images[rows], return_inverse=True)
        self.paths.append(table['path'].combine_chunks().take(pa.array(used)))
        self.path_index.append(self.num_paths + position)
        self.image_index.append(self.num_images + images[rows])
        self.bboxes.append(boxes[rows])
        self.keypoints.append(found['keypoints'][rows])
        self.visible.append(visible[rows])
        self.category_ids.append(found['category_ids'][rows])
        self.num_paths += len(used)
        self.num_images += len(counts)
        self.num_candidates += len(images)
        self.best = found['instance_scores'].max(initial=self.best)

    def result(self) -> TrainingLabels:
        paths = pa.chunked_array(self.paths, pa.string()).cast(pa.large_string())
        return TrainingLabels(
            paths=paths.combine_chunks(),
            path_index=self.path_index.finish(),
            image_index=self.image_index.finish(),
            bboxes=self.bboxes.finish(),
            keypoints=self.keypoints.finish(),
            visible=self.visible.finish(),
            category_ids=self.category_ids.finish(),
            num_candidates=self.num_candidates,
            best_score=float(self.best),
        )


def _clipped(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) within images of sizes (N, 2), as MMPose clips annotated ones."""
    return np.clip(boxes, 0, np.tile(sizes, 2) - 1).astype(np.float32)
