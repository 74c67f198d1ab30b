"""The selection of an unlabeled set, applied to candidates of other images.

Shapes: `M` candidates, `S` sources. Labeled images belong to no source of the unlabeled
set. Where sources have thresholds of their own, every image is treated as one of each
source in turn, and means over sources are weighted by their labels in the unlabeled
set. Where ranks are compared, the rank is that among the candidates of the unlabeled
set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from mmdistill.functional.count_matching import split_groups
from mmdistill.functional.ranking import ranks_among
from mmdistill.selection import Selection
from mmdistill.selection.scores import Scores, read_scores, scores_of
from mmdistill.selection.selection import read_selection
from mmdistill.store import Candidates, LabelStore
from mmdistill.store.image_sources import Sources


@dataclass(frozen=True)
class SelectionOutcome:
    """Outcome of a selection for candidates, as if they were of each source.

    Attributes:
        values: Values that are compared with a threshold, (S, M); minus infinity where
            there is none.
        threshold_index: Index of that threshold in the selection, -1 for none, (S, M).
        kept: Whether a candidate would be a pseudo-label, (S, M), bool.
    """

    values: np.ndarray
    threshold_index: np.ndarray
    kept: np.ndarray

    def __getitem__(self, candidates: np.ndarray | slice) -> SelectionOutcome:
        return SelectionOutcome(
            *(getattr(self, f.name)[:, candidates] for f in fields(self))
        )

    @classmethod
    def joined(cls, outcomes: Sequence[SelectionOutcome]) -> SelectionOutcome:
        """Concatenate the candidates of several outcomes."""
        columns = (
            [getattr(outcome, f.name) for outcome in outcomes] for f in fields(cls)
        )
        return cls(*(np.concatenate(column, axis=1) for column in columns))


@dataclass(frozen=True)
class UnlabeledSelection:
    """Selection of an unlabeled set, with the scores that ranks need.

    Attributes:
        selection: The selection.
        scores: Scores of the candidates of the unlabeled set, if ranks are compared.
    """

    selection: Selection
    scores: Scores | None = None

    @cached_property
    def sources(self) -> tuple[str | None, ...]:
        """Sources with thresholds of their own; only None where none has."""
        return tuple(dict.fromkeys(t.source for t in self.selection.thresholds))

    @property
    def label_shares(self) -> np.ndarray:
        """Share of each source in the pseudo-labels of the unlabeled set, (S,)."""
        kept: Counter[str | None] = Counter()
        for part in self.selection.parts:
            kept[part.source] += part.kept
        return self._shares(kept, kept.total())

    @property
    def image_shares(self) -> np.ndarray:
        """Share of each source in the images of the unlabeled set, (S,)."""
        images: dict[str | None, int] = {
            part.source: part.images for part in self.selection.parts
        }
        return self._shares(images, self.selection.unlabeled.images)

    def apply(self, candidates: Candidates) -> SelectionOutcome:
        """Apply the selection to candidates.

        Args:
            candidates: The candidates, M of them.
        """
        tries = [self._apply_as_source(candidates, source) for source in self.sources]
        return SelectionOutcome(*map(np.stack, zip(*tries, strict=True)))

    def _apply_as_source(
        self, candidates: Candidates, source: str | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, threshold index and kept of candidates as if of a source."""
        selection, count = self.selection, len(candidates)
        sources = Sources((source or '',), np.zeros(count, dtype=np.int32))
        scores = scores_of(
            candidates,
            sources,
            selection.options.counted_thr,
            selection.needs_agreement,
        )
        rows, groups, compared = selection.compared(scores)
        if self.scores is not None:
            compared = self._rank_products(scores, rows, groups)
        values = np.full(count, -np.inf, dtype=compared.dtype)
        threshold_index = np.full(count, -1)
        kept = np.zeros(count, dtype=bool)
        values[rows], threshold_index[rows] = compared, groups
        kept[rows] = compared >= selection.limits.astype(compared.dtype)[groups]
        trained = selection.trains(candidates.keypoint_scores)
        return values, threshold_index, kept & trained

    def _rank_products(
        self, scores: Scores, rows: np.ndarray, groups: np.ndarray
    ) -> np.ndarray:
        """Products of the ranks of candidates in the unlabeled set, (N,)."""
        assert self.scores is not None
        values, num = np.empty(len(rows)), len(self.selection.thresholds)
        pairs = zip(split_groups(groups, num), self._rows_by_threshold, strict=True)
        for own, others in pairs:
            values[own] = ranks_among(
                scores.instances[rows[own]], self.scores.instances[others]
            ) * ranks_among(scores.agreement[rows[own]], self.scores.agreement[others])
        return values

    @cached_property
    def _rows_by_threshold(self) -> list[np.ndarray]:
        """Indices of the candidates of the unlabeled set under each threshold."""
        assert self.scores is not None
        rows, groups, _ = self.selection.compared(self.scores)
        groups_of_rows = split_groups(groups, len(self.selection.thresholds))
        return [rows[group] for group in groups_of_rows]

    def _shares(self, counts: Mapping[str | None, int], total: int) -> np.ndarray:
        if self.sources == (None,):
            return np.ones(1)
        return np.array([counts.get(source, 0) for source in self.sources]) / total


def unlabeled_selection_of(store: LabelStore) -> UnlabeledSelection:
    """Read the selection of a store.

    Args:
        store: The store.

    Raises:
        UserError: If nothing was labeled or selected yet.
    """
    store.manifest  # noqa: B018  (a sentence when there is no store)
    selection = read_selection(store)
    if not selection.needs_all_candidates:
        return UnlabeledSelection(selection)
    stored = read_scores(store, selection.options.counted_thr, agreement=True)
    return UnlabeledSelection(selection, stored.scores)
