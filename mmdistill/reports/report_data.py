"""The numbers of a report, collected chunk by chunk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmdistill.labels import LabelStore, Selection, StoredLabels
from mmdistill.labels.columns import Candidates, table_to_labels
from mmdistill.labels.growing_array import GrowingArray
from mmdistill.labels.selection import selectable
from mmdistill.reports.sources import ImageCounts, Sources, sources_of

KEYPOINT_THR = 0.2
"""Keypoint score above which a keypoint is visible while nothing is selected."""


@dataclass(frozen=True)
class KeypointNumbers:
    """Keypoints of the labels, by type; a label is a kept candidate.

    Attributes:
        visible: Labels on which it is visible, (K,).
        score_sum: Sum of its scores where it is visible, (K,).
        agreement_sum: Sum of its agreement where it is visible, (K,).
    """

    visible: np.ndarray
    score_sum: np.ndarray
    agreement_sum: np.ndarray


@dataclass(frozen=True)
class ReportData:
    """Numbers of a store: `M` candidates on `I` images of which `R` were read.

    Without a selection every candidate with a visible keypoint counts as kept.

    Attributes:
        scores: Instance scores, (M,).
        agreement: Mean agreement of the visible keypoints, 0 without any, (M,).
        visible: Number of visible keypoints, (M,).
        kept: Which candidates are labels, (M,), bool.
        labels_per_image: Kept candidates of each image that could be read, (R,).
        candidates_per_image: Candidates of each such image, (R,).
        chunk_starts: Number of each chunk's first candidate, and M, (C + 1,).
        keypoints: The labels' keypoints by type.
        sources: Counts of each source.
        failures: Failed images by reason.
        failed_example: The first failed image of each reason.
    """

    scores: np.ndarray
    agreement: np.ndarray
    visible: np.ndarray
    kept: np.ndarray
    labels_per_image: np.ndarray
    candidates_per_image: np.ndarray
    chunk_starts: np.ndarray
    keypoints: KeypointNumbers
    sources: Sources
    failures: Counter[str]
    failed_example: dict[str, str]

    @property
    def num_images(self) -> int:
        """Images of the store, failed ones included."""
        return len(self.labels_per_image) + self.failures.total()

    @property
    def num_kept(self) -> int:
        """Labels."""
        return int(self.kept.sum())

    @property
    def emptied(self) -> int:
        """Images that have candidates and none that is kept."""
        lost = (self.candidates_per_image > 0) & (self.labels_per_image == 0)
        return int(lost.sum())


def keypoint_threshold(selection: Selection | None) -> float:
    """Keypoint score above which a keypoint is visible."""
    return KEYPOINT_THR if selection is None else selection.keypoint_thr


def collect(store: LabelStore, selection: Selection | None) -> ReportData:
    """Read a complete store once.

    Args:
        store: The store.
        selection: What is kept of it; None where nothing was selected yet.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    collected = _Collected(store.num_keypoints, selection)
    for table in store.scan():
        collected.add(table)
    return collected.result()


class _Collected:
    def __init__(self, num_keypoints: int, selection: Selection | None) -> None:
        self.num_keypoints, self.selection = num_keypoints, selection
        self.keypoint_thr = keypoint_threshold(selection)
        self.scores, self.agreement = (GrowingArray((), np.float32) for _ in range(2))
        self.visible, self.per_image, self.found_per_image = (
            GrowingArray((), np.int32) for _ in range(3)
        )
        self.kept = GrowingArray((), np.bool_)
        self.starts = [0]
        self.keypoints = KeypointNumbers(
            np.zeros(num_keypoints, np.int64), *np.zeros((2, num_keypoints))
        )
        self.sources = Sources()
        self.failures: Counter[str] = Counter()
        self.failed_example: dict[str, str] = {}

    def add(self, table: pa.Table) -> None:
        labels = table_to_labels(table, self.num_keypoints)
        found = labels.candidates
        visible = found.keypoint_scores > self.keypoint_thr
        counts = visible.sum(axis=1)
        total = np.where(visible, found.keypoint_agreement, 0).sum(axis=1)
        agreement = total / np.maximum(counts, 1)
        kept = self._kept(found)
        self.scores.append(found.instance_scores)
        self.agreement.append(agreement)
        self.visible.append(counts)
        self.kept.append(kept)
        self.starts.append(self.starts[-1] + len(found))
        self._add_keypoints(found[kept], visible[kept])
        self._add_images(labels, sources_of(table), kept, agreement)

    def _kept(self, found: Candidates) -> np.ndarray:
        if self.selection is None:
            return selectable(found, self.keypoint_thr)
        return self.selection.kept(found)

    def _add_keypoints(self, labels: Candidates, visible: np.ndarray) -> None:
        numbers = self.keypoints
        for total, values in (
            (numbers.visible, visible),
            (numbers.score_sum, labels.keypoint_scores),
            (numbers.agreement_sum, labels.keypoint_agreement),
        ):
            total += np.where(visible, values, 0).sum(axis=0, dtype=total.dtype)

    def _add_images(
        self,
        labels: StoredLabels,
        sources: list[str],
        kept: np.ndarray,
        agreement: np.ndarray,
    ) -> None:
        size, rows = len(labels.sizes), labels.image_index[kept]
        read = np.array([reason is None for reason in labels.failures], dtype=bool)
        images = ImageCounts(
            read=read,
            candidates=np.bincount(labels.image_index, minlength=size),
            kept=np.bincount(rows, minlength=size),
            score_sum=np.bincount(rows, labels.candidates.instance_scores[kept], size),
            agreement_sum=np.bincount(rows, agreement[kept], size),
        )
        self.per_image.append(images.kept[read])
        self.found_per_image.append(images.candidates[read])
        self.sources.add(sources, images)
        for number in np.flatnonzero(~read).tolist():
            reason = labels.failures[number] or ''
            self.failures[reason] += 1
            self.failed_example.setdefault(reason, labels.paths[number].as_py())

    def result(self) -> ReportData:
        return ReportData(
            scores=self.scores.finish(),
            agreement=self.agreement.finish(),
            visible=self.visible.finish(),
            kept=self.kept.finish(),
            labels_per_image=self.per_image.finish(),
            candidates_per_image=self.found_per_image.finish(),
            chunk_starts=np.array(self.starts),
            keypoints=self.keypoints,
            sources=self.sources,
            failures=self.failures,
            failed_example=self.failed_example,
        )
