"""The numbers of a report, collected chunk by chunk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from mmdistill.functional.keypoint_matching import label_keypoints
from mmdistill.labels import LabelStore, Selection, StoredLabels
from mmdistill.labels.columns import Candidates, table_to_labels
from mmdistill.labels.growing_array import GrowingArray
from mmdistill.labels.scores import Scores, scores_of
from mmdistill.labels.store_scores import read_scores
from mmdistill.reports.sources import ImageCounts, SourceTotals, sources_of

KEYPOINT_THR = 0.2
"""Keypoint score above which a keypoint is visible while nothing is selected."""
STEP = 0.02
"""By how much thresholds are moved to see what hangs on them."""

Visible = Callable[[np.ndarray], np.ndarray]


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
        margins: How far what is compared of each lies above its threshold, minus
            infinity where nothing can be compared, (M,).
        labels_per_image: Kept candidates of each image that could be read, (R,).
        candidates_per_image: Candidates of each such image, (R,).
        image_starts: Number of each image's first candidate, and M, (I + 1,).
        keypoints: The labels' keypoints by type.
        sources: Counts of each source.
        failures: Failed images by reason.
        failed_example: The first failed image of each reason.
        lost: Labels lost by thresholds that are `STEP` higher.
        won: Labels won by thresholds that are `STEP` lower.
    """

    scores: np.ndarray
    agreement: np.ndarray
    visible: np.ndarray
    kept: np.ndarray
    margins: np.ndarray
    labels_per_image: np.ndarray
    candidates_per_image: np.ndarray
    image_starts: np.ndarray
    keypoints: KeypointNumbers
    sources: SourceTotals
    failures: Counter[str]
    failed_example: dict[str, str]
    lost: int
    won: int

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


def visible_by(selection: Selection | None) -> Visible:
    """What tells by the scores of keypoints, (..., K), which are visible."""
    if selection is None:
        return partial(label_keypoints, thresholds=KEYPOINT_THR)
    return selection.visible


def collect(store: LabelStore, selection: Selection | None) -> ReportData:
    """Read a complete store once.

    Args:
        store: The store.
        selection: What is kept of it; None where nothing was selected yet.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    margins = _Margins(store, selection)
    collected = _Collected(store.num_keypoints, visible_by(selection), margins)
    for table in store.scan():
        collected.add(table)
    return collected.result()


class _Margins:
    """Tells chunk after chunk how far candidates lie above their thresholds."""

    def __init__(self, store: LabelStore, selection: Selection | None) -> None:
        self.selection = selection
        self.whole: np.ndarray | None = None
        if selection is not None and selection.looks_at_all:
            found = read_scores(store, selection.options.counted_thr, agreement=True)
            self.whole = _above(selection, found.scores)

    def of_chunk(self, labels: StoredLabels, start: int) -> np.ndarray:
        """Margins of a chunk, infinite while nothing is selected, (m,), float32.

        Args:
            labels: The chunk.
            start: Number of its first candidate in the store.
        """
        found = labels.candidates
        if self.selection is None:
            return np.full(len(found), np.inf, dtype=np.float32)
        if self.whole is not None:
            return self.whole[start : start + len(found)]
        counted_thr = self.selection.options.counted_thr
        agreement = self.selection.looks_at_agreement
        scores = scores_of(found, labels.candidate_sources, counted_thr, agreement)
        return _above(self.selection, scores)


def _above(selection: Selection, scores: Scores) -> np.ndarray:
    rows, groups, values = selection.compared(scores)
    margins = np.full(len(scores), -np.inf, dtype=np.float32)
    margins[rows] = values - selection.limits.astype(values.dtype)[groups]
    return margins


class _Collected:
    def __init__(
        self, num_keypoints: int, visible_of: Visible, margins_of: _Margins
    ) -> None:
        self.num_keypoints, self.visible_of = num_keypoints, visible_of
        self.margins_of, self.num_kept = margins_of, np.zeros(3, np.int64)
        self.scores, self.agreement, self.margins = (
            GrowingArray((), np.float32) for _ in range(3)
        )
        self.visible, self.per_image, self.found_per_image = (
            GrowingArray((), np.int32) for _ in range(3)
        )
        self.kept = GrowingArray((), np.bool_)
        self.num_candidates = 0
        self.per_any_image = GrowingArray((), np.int64)
        self.keypoints = KeypointNumbers(
            np.zeros(num_keypoints, np.int64), *np.zeros((2, num_keypoints))
        )
        self.sources = SourceTotals()
        self.failures: Counter[str] = Counter()
        self.failed_example: dict[str, str] = {}

    def add(self, table: pa.Table) -> None:
        labels = table_to_labels(table, self.num_keypoints)
        found = labels.candidates
        visible = self.visible_of(found.keypoint_scores)
        counts = visible.sum(axis=1)
        total = np.where(visible, found.keypoint_agreement, 0).sum(axis=1)
        agreement = total / np.maximum(counts, 1)
        margins = self.margins_of.of_chunk(labels, self.num_candidates)
        moved = [(counts > 0) & (margins >= step) for step in (0, STEP, -STEP)]
        self.num_kept += [choice.sum() for choice in moved]
        kept = moved[0]
        self.scores.append(found.instance_scores)
        self.agreement.append(agreement)
        self.visible.append(counts)
        self.kept.append(kept)
        self.margins.append(margins)
        self.num_candidates += len(found)
        self._add_keypoints(found[kept], visible[kept])
        self._add_images(labels, sources_of(table), kept, agreement)

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
        self.per_any_image.append(images.candidates)
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
            margins=self.margins.finish(),
            labels_per_image=self.per_image.finish(),
            candidates_per_image=self.found_per_image.finish(),
            image_starts=np.append(0, np.cumsum(self.per_any_image.finish())),
            keypoints=self.keypoints,
            sources=self.sources,
            failures=self.failures,
            failed_example=self.failed_example,
            lost=int(self.num_kept[0] - self.num_kept[1]),
            won=int(self.num_kept[2] - self.num_kept[0]),
        )
