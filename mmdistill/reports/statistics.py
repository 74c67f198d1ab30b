"""Statistics of a label store for its report, collected chunk by chunk.

They cover candidates, labels, keypoint types, sources of images, categories and failed
images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.functional.count_matching import label_keypoints
from mmdistill.functional.ranking import instance_agreement
from mmdistill.selection import Selection
from mmdistill.selection.scores import Scores, read_scores, scores_of
from mmdistill.selection.threshold_groups import format_range
from mmdistill.store import LabelStore, StoredLabels
from mmdistill.store.image_sources import Sources
from mmdistill.store.schema import Candidates, table_to_labels
from mmdistill.utils.growing_array import GrowingArray

KEYPOINT_THR = 0.2
"""Keypoint score above which a keypoint is visible while nothing is selected."""
ONE_SOURCE = 'all images'
"""Name of the source of a store without sources."""
STEP = 0.02
"""Change of the thresholds for counting the labels that depend on them."""

Visible = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class KeypointStatistics:
    """Sums over the labels for each keypoint type; a label is a kept candidate.

    Attributes:
        visible: Number of labels on which the type is visible, (K,).
        score_sum: Sum of its scores where visible, (K,).
        agreement_sum: Sum of its agreement where visible, (K,).
    """

    visible: np.ndarray
    score_sum: np.ndarray
    agreement_sum: np.ndarray


@dataclass(frozen=True)
class ReportData:
    """Statistics of a store: `M` candidates on `I` images of which `R` were read.

    Without a selection every candidate with a visible keypoint counts as kept. A box
    without keypoints counts as a whole.

    Attributes:
        scores: Instance scores, (M,).
        agreement: Mean agreement of the visible keypoints, 0 without any, (M,); that
            on a box where there are no keypoints.
        visible: Number of visible keypoints, (M,); 1 for a box.
        kept: Which candidates are labels, (M,), bool.
        margins: Compared quantity minus threshold of each candidate, minus infinity
            where it has no such quantity, (M,).
        labels_per_image: Kept candidates of each image that could be read, (R,).
        candidates_per_image: Candidates of each such image, (R,).
        image_starts: Index of each image's first candidate, and M, (I + 1,).
        keypoints: Statistics of the labels by keypoint type.
        sources: Counts of each source.
        failures: Failed images by reason.
        failed_example: The first failed image of each reason.
        lost: Number of labels lost by thresholds `STEP` higher.
        won: Number of labels gained by thresholds `STEP` lower.
    """

    scores: np.ndarray
    agreement: np.ndarray
    visible: np.ndarray
    kept: np.ndarray
    margins: np.ndarray
    labels_per_image: np.ndarray
    candidates_per_image: np.ndarray
    image_starts: np.ndarray
    keypoints: KeypointStatistics
    sources: SourceTotals
    failures: Counter[str]
    failed_example: dict[str, str]
    lost: int
    won: int

    @property
    def num_images(self) -> int:
        """Number of images of the store, failed ones included."""
        return len(self.labels_per_image) + self.failures.total()

    @property
    def num_kept(self) -> int:
        """Number of labels."""
        return int(self.kept.sum())

    @property
    def emptied(self) -> int:
        """Number of images that have candidates but no label."""
        lost = (self.candidates_per_image > 0) & (self.labels_per_image == 0)
        return int(lost.sum())


def visible_by(selection: Selection | None) -> Visible:
    """Return a function from scores of keypoints, (..., K), to their visibility."""
    if selection is None:
        return partial(label_keypoints, thresholds=KEYPOINT_THR)
    return selection.visible


def collect(store: LabelStore, selection: Selection | None) -> ReportData:
    """Compute the statistics of a complete store in one pass.

    Args:
        store: The store.
        selection: The selection; None before one was made.

    Raises:
        UserError: If a chunk is missing, damaged or of another store.
    """
    margins = _Margins(store, selection)
    collector = _Collector(store.num_keypoints, visible_by(selection), margins)
    for table in store.scan():
        collector.add(table)
    return collector.result()


class _Margins:
    """Margins of candidates over their thresholds, chunk by chunk."""

    def __init__(self, store: LabelStore, selection: Selection | None) -> None:
        self.selection = selection
        self.store_margins: np.ndarray | None = None
        if selection is not None and selection.needs_all_candidates:
            counted_thr = selection.options.counted_thr
            stored = read_scores(store, counted_thr, agreement=True)
            self.store_margins = _margins(selection, stored.scores)

    def of_chunk(self, labels: StoredLabels, start: int) -> np.ndarray:
        """Compute the margins of a chunk, infinite before a selection, (m,), float32.

        Args:
            labels: The chunk.
            start: Index of its first candidate in the store.
        """
        candidates = labels.candidates
        if self.selection is None:
            return np.full(len(candidates), np.inf, dtype=np.float32)
        if self.store_margins is not None:
            return self.store_margins[start : start + len(candidates)]
        counted_thr = self.selection.options.counted_thr
        agreement = self.selection.needs_agreement
        scores = scores_of(candidates, labels.candidate_sources, counted_thr, agreement)
        return _margins(self.selection, scores)


def _margins(selection: Selection, scores: Scores) -> np.ndarray:
    """Compute compared values minus thresholds, (M,), float32."""
    rows, groups, values = selection.compared(scores)
    margins = np.full(len(scores), -np.inf, dtype=np.float32)
    margins[rows] = values - selection.limits.astype(values.dtype)[groups]
    return margins


class _Collector:
    """Accumulates the statistics of chunks."""

    def __init__(
        self, num_keypoints: int, visible_of: Visible, margins: _Margins
    ) -> None:
        self.num_keypoints, self.visible_of = num_keypoints, visible_of
        self.margins, self.num_kept = margins, np.zeros(3, np.int64)
        self.scores, self.agreement, self.candidate_margins = (
            GrowingArray((), np.float32) for _ in range(3)
        )
        self.visible, self.labels_per_image, self.candidates_per_image = (
            GrowingArray((), np.int32) for _ in range(3)
        )
        self.kept = GrowingArray((), np.bool_)
        self.num_candidates = 0
        self.candidates_per_row = GrowingArray((), np.int64)
        self.keypoints = KeypointStatistics(
            np.zeros(num_keypoints, np.int64), *np.zeros((2, num_keypoints))
        )
        self.sources = SourceTotals()
        self.failures: Counter[str] = Counter()
        self.failed_example: dict[str, str] = {}

    def add(self, table: pa.Table) -> None:
        """Add the candidates and images of a chunk."""
        labels = table_to_labels(table, self.num_keypoints)
        candidates = labels.candidates
        visible = self.visible_of(candidates.keypoint_scores)
        if self.num_keypoints:
            counts = visible.sum(axis=1)
            agreement = instance_agreement(candidates.keypoint_agreement, visible)
        else:
            counts = np.ones(len(candidates), dtype=np.int32)
            agreement = candidates.bbox_agreement
        margins = self.margins.of_chunk(labels, self.num_candidates)
        kept_at = [(counts > 0) & (margins >= step) for step in (0, STEP, -STEP)]
        self.num_kept += [mask.sum() for mask in kept_at]
        kept = kept_at[0]
        self.scores.append(candidates.instance_scores)
        self.agreement.append(agreement)
        self.visible.append(counts)
        self.kept.append(kept)
        self.candidate_margins.append(margins)
        self.num_candidates += len(candidates)
        self._add_keypoints(candidates[kept], visible[kept])
        self._add_images(labels, kept, agreement)

    def _add_keypoints(self, labels: Candidates, visible: np.ndarray) -> None:
        sums = self.keypoints
        for total, values in (
            (sums.visible, visible),
            (sums.score_sum, labels.keypoint_scores),
            (sums.agreement_sum, labels.keypoint_agreement),
        ):
            total += np.where(visible, values, 0).sum(axis=0, dtype=total.dtype)

    def _add_images(
        self, labels: StoredLabels, kept: np.ndarray, agreement: np.ndarray
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
        self.candidates_per_row.append(images.candidates)
        self.labels_per_image.append(images.kept[read])
        self.candidates_per_image.append(images.candidates[read])
        self.sources.add(labels.sources, images)
        for row in np.flatnonzero(~read).tolist():
            reason = labels.failures[row] or ''
            self.failures[reason] += 1
            self.failed_example.setdefault(reason, labels.paths[row].as_py())

    def result(self) -> ReportData:
        """Return the statistics of all chunks."""
        return ReportData(
            scores=self.scores.finish(),
            agreement=self.agreement.finish(),
            visible=self.visible.finish(),
            kept=self.kept.finish(),
            margins=self.candidate_margins.finish(),
            labels_per_image=self.labels_per_image.finish(),
            candidates_per_image=self.candidates_per_image.finish(),
            image_starts=np.append(0, np.cumsum(self.candidates_per_row.finish())),
            keypoints=self.keypoints,
            sources=self.sources,
            failures=self.failures,
            failed_example=self.failed_example,
            lost=int(self.num_kept[0] - self.num_kept[1]),
            won=int(self.num_kept[2] - self.num_kept[0]),
        )


@dataclass
class SourceCounts:
    """Counts of one source of images.

    Attributes:
        images: Number of images that could be read.
        failed: Number of images that could not be read.
        without_labels: Number of read images without a label.
        candidates: Number of candidates.
        kept: Number of kept candidates.
        score_sum: Sum of the kept candidates' scores.
        agreement_sum: Sum of the kept candidates' agreement.
    """

    images: int = 0
    failed: int = 0
    without_labels: int = 0
    candidates: int = 0
    kept: int = 0
    score_sum: float = 0.0
    agreement_sum: float = 0.0

    @property
    def mean(self) -> float:
        """Mean number of kept candidates per image."""
        return self.kept / self.images if self.images else 0.0

    @property
    def score(self) -> float:
        """Mean score of the kept candidates; NaN without any."""
        return self.score_sum / self.kept if self.kept else np.nan

    @property
    def agreement(self) -> float:
        """Mean agreement of the kept candidates; NaN without any."""
        return self.agreement_sum / self.kept if self.kept else np.nan


@dataclass(frozen=True)
class ImageCounts:
    """Counts of `I` images of a store.

    Attributes:
        read: Which images could be read, (I,), bool.
        candidates: Number of candidates of each, (I,).
        kept: Number of kept candidates of each, (I,).
        score_sum: Sum of their scores, (I,).
        agreement_sum: Sum of their agreement, (I,).
    """

    read: np.ndarray
    candidates: np.ndarray
    kept: np.ndarray
    score_sum: np.ndarray
    agreement_sum: np.ndarray


@dataclass
class SourceTotals:
    """Counts of all sources, summed over chunks."""

    counts: dict[str, SourceCounts] = field(default_factory=dict)

    def add(self, sources: Sources, images: ImageCounts) -> None:
        """Add images; those without a source share one.

        Args:
            sources: Source of each image, (I,).
            images: Counts of the images.
        """
        without_labels = images.read & (images.kept == 0)
        for index, source in enumerate(sources.names):
            own = sources.index == index
            counts = self.counts.setdefault(source or ONE_SOURCE, SourceCounts())
            counts.images += int(images.read[own].sum())
            counts.failed += int((~images.read[own]).sum())
            counts.without_labels += int(without_labels[own].sum())
            counts.candidates += int(images.candidates[own].sum())
            counts.kept += int(images.kept[own].sum())
            counts.score_sum += float(images.score_sum[own].sum())
            counts.agreement_sum += float(images.agreement_sum[own].sum())


def format_thresholds(selection: Selection, source: str) -> str:
    """Format the thresholds of a source, over all categories."""
    own = '' if source == ONE_SOURCE else source
    thresholds = [t.score_thr for t in selection.thresholds if t.source in (None, own)]
    return format_range(thresholds, 3)


def category_rows(selection: Selection) -> list[dict[str, Any]]:
    """Count candidates and labels of each category; empty if there is only one.

    Args:
        selection: The selection.
    """
    category_ids = {part.category_id for part in selection.parts}
    if len(category_ids) < 2:
        return []
    parts_by_category = {
        category_id: [p for p in selection.parts if p.category_id == category_id]
        for category_id in sorted(category_ids, key=lambda number: number or 0)
    }
    images = max(selection.unlabeled.images, 1)
    return [
        dict(
            category_id=category_id,
            candidates=sum(part.candidates for part in parts),
            kept=sum(part.kept for part in parts),
            mean=sum(part.kept for part in parts) / images,
            labeled_mean=selection.labeled.mean(selection.labeled_images, category_id),
            threshold=format_range([part.score_thr for part in parts], 3),
        )
        for category_id, parts in parts_by_category.items()
    ]
