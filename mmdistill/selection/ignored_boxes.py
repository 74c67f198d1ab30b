"""Rejected boxes that are neither objects nor background to a student.

The teacher is unsure of the candidates just below the threshold. A student that takes
them for background learns to miss objects; where its losses can ignore a region, these
are ignored. So are poses that are kept and have no visible keypoint to train.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdistill.functional.box_voting import overlaps
from mmdistill.functional.count_matching import next_best
from mmdistill.selection.scores import Scores, TableCandidates, read_scores
from mmdistill.selection.selection import Selection
from mmdistill.selection.training_labels import TrainingLabels, clipped_boxes
from mmdistill.store.schema import candidate_counts
from mmdistill.store.store import LabelStore
from mmdistill.utils.growing_array import GrowingArray

KNOWN_THR = 0.5
"""Overlap with a kept box from which on a rejected one is of the same object."""


@dataclass(frozen=True)
class IgnoredBoxes:
    """Rejected boxes on images with labels, `Q` of them.

    Attributes:
        path_index: Index of the path of each one's image among those of the labels,
            ascending, (Q,).
        bboxes: Boxes (x1, y1, x2, y2) in pixels, (Q, 4), float32.
        category_ids: Categories, (Q,), int32.

    >>> none = IgnoredBoxes(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, int))
    >>> len(none)
    0
    """

    path_index: np.ndarray
    bboxes: np.ndarray
    category_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.path_index)


def read_ignored_boxes(
    store: LabelStore, selection: Selection, labels: TrainingLabels
) -> IgnoredBoxes:
    """Read the best rejected boxes of a store, as many of a threshold as are kept.

    Those that overlap a kept box of their image by `KNOWN_THR` are left out, and those
    of images without a kept box, which train nothing. Of poses, those that are kept
    without a visible keypoint are among them.

    Args:
        store: A complete store of boxes or poses.
        selection: Its selection.
        labels: Its training labels under this selection.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.

    >>> from mmdistill.selection.training_labels import read_training_labels
    >>> labels = read_training_labels(store, selection)
    >>> read_ignored_boxes(store, selection, labels).bboxes.shape
    (0, 4)
    """
    scores = read_scores(
        store, selection.options.counted_thr, selection.needs_agreement
    ).scores
    kept = selection.above_threshold(scores)
    wanted = _unsure(scores, kept, selection)
    ends = np.cumsum(np.bincount(labels.path_index, minlength=len(labels.paths)))
    # Index in the store of each image with labels.
    images = labels.image_index[np.minimum(ends - 1, max(len(labels) - 1, 0))]
    collected = _Collector()
    first_image = first_candidate = 0
    columns = ['bboxes', 'instance_scores', 'category_ids']
    columns += ['keypoint_scores'] if store.num_keypoints else []
    for table in store.scan(columns):
        candidates = TableCandidates(table, store.num_keypoints)
        counts = candidate_counts(table)
        span = slice(first_candidate, first_candidate + int(counts.sum()))
        unseen = kept[span] & ~selection.trains(candidates.keypoint_scores)
        rows = np.flatnonzero(wanted[span] | unseen)
        of_rows = np.repeat(np.arange(len(counts)), counts)[rows] + first_image
        path_index = np.searchsorted(images, of_rows)
        found = path_index < len(images)
        found[found] = images[path_index[found]] == of_rows[found]
        collected.add(candidates, rows[found], path_index[found], labels)
        first_image += len(counts)
        first_candidate += int(counts.sum())
    return collected.result()


def _unsure(scores: Scores, kept: np.ndarray, selection: Selection) -> np.ndarray:
    """Mask of the next best candidates of each threshold, (M,), bool."""
    rows, groups, values = selection.compared(scores)
    wanted = np.zeros(len(scores), dtype=bool)
    wanted[rows] = next_best(values, groups, kept[rows], len(selection.thresholds))
    return wanted


class _Collector:
    """Accumulator of `IgnoredBoxes` over the tables of a store."""

    def __init__(self) -> None:
        self.path_index = GrowingArray((), np.int64)
        self.bboxes = GrowingArray((4,), np.float32)
        self.category_ids = GrowingArray((), np.int32)

    def add(
        self,
        candidates: TableCandidates,
        rows: np.ndarray,
        path_index: np.ndarray,
        labels: TrainingLabels,
    ) -> None:
        bboxes = candidates.bboxes[rows]
        if labels.keypoints.shape[1]:
            bboxes = clipped_boxes(bboxes, labels.sizes[path_index])
        sized = (bboxes[:, 2:] > bboxes[:, :2]).all(axis=1)
        for image in np.unique(path_index):
            own = np.flatnonzero((path_index == image) & sized)
            start, end = np.searchsorted(labels.path_index, [image, image + 1])
            ious = overlaps(bboxes[own], labels.bboxes[start:end])
            own = own[(ious < KNOWN_THR).all(axis=1)]
            self.path_index.append(path_index[own])
            self.bboxes.append(bboxes[own])
            self.category_ids.append(candidates.category_ids[rows[own]])

    def result(self) -> IgnoredBoxes:
        return IgnoredBoxes(
            self.path_index.finish(), self.bboxes.finish(), self.category_ids.finish()
        )
