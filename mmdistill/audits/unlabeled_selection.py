"""The rules of a pile's selection, for candidates of images that are not in it.

Shapes: `M` candidates, `S` sources. Images of a labeled set are of no source of the
pile. Where sources have thresholds of their own, every image is tried as one of each
of them in turn, and what is told of all counts a source as often as the pile has
labels of it. Where a place among all candidates decides, it is the one among those of
the pile.
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
from mmdistill.store.sources import Sources


@dataclass(frozen=True)
class SelectionOutcome:
    """Candidates under a selection, as if they were of each source.

    Attributes:
        values: What is compared with a threshold, (S, M); minus infinity where there
            is nothing to compare.
        places: Position of that threshold among the selection's, -1 for none, (S, M).
        kept: Which would be labels, (S, M), bool.
    """

    values: np.ndarray
    places: np.ndarray
    kept: np.ndarray

    def __getitem__(self, candidates: np.ndarray | slice) -> SelectionOutcome:
        return SelectionOutcome(
            *(getattr(self, f.name)[:, candidates] for f in fields(self))
        )

    @classmethod
    def joined(cls, parts: Sequence[SelectionOutcome]) -> SelectionOutcome:
        """The candidates of several parts together."""
        columns = ([getattr(part, f.name) for part in parts] for f in fields(cls))
        return cls(*(np.concatenate(column, axis=1) for column in columns))


@dataclass(frozen=True)
class UnlabeledSelection:
    """What makes a candidate a pseudo-label of a pile.

    Attributes:
        selection: The pile's.
        pile: Scores of its candidates, where a place among them decides.
    """

    selection: Selection
    pile: Scores | None = None

    @cached_property
    def sources(self) -> tuple[str | None, ...]:
        """Sources that have thresholds of their own; None alone where none has."""
        return tuple(dict.fromkeys(t.source for t in self.selection.thresholds))

    @property
    def label_shares(self) -> np.ndarray:
        """Share of each source in the labels of the pile, (S,)."""
        kept: Counter[str | None] = Counter()
        for part in self.selection.parts:
            kept[part.source] += part.kept
        return self._shares(kept, kept.total())

    @property
    def image_shares(self) -> np.ndarray:
        """Share of each source in the images of the pile, (S,)."""
        images: dict[str | None, int] = {
            part.source: part.images for part in self.selection.parts
        }
        return self._shares(images, self.selection.unlabeled.images)

    def judged(self, candidates: Candidates) -> SelectionOutcome:
        """What the selection says of candidates.

        Args:
            candidates: The candidates, M of them.
        """
        tries = [self._tried(candidates, source) for source in self.sources]
        return SelectionOutcome(*map(np.stack, zip(*tries, strict=True)))

    def _tried(
        self, candidates: Candidates, source: str | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values, places and kept of candidates as if they were of a source."""
        selection, count = self.selection, len(candidates)
        sources = Sources((source or '',), np.zeros(count, dtype=np.int32))
        scores = scores_of(
            candidates,
            sources,
            selection.options.counted_thr,
            selection.needs_agreement,
        )
        rows, groups, found = selection.compared(scores)
        if self.pile is not None:
            found = self._among_the_pile(scores, rows, groups)
        values = np.full(count, -np.inf, dtype=found.dtype)
        places = np.full(count, -1)
        kept = np.zeros(count, dtype=bool)
        values[rows], places[rows] = found, groups
        kept[rows] = found >= selection.limits.astype(found.dtype)[groups]
        visible = selection.visible(candidates.keypoint_scores).any(axis=1)
        return values, places, kept & visible

    def _among_the_pile(
        self, scores: Scores, rows: np.ndarray, groups: np.ndarray
    ) -> np.ndarray:
        """Rank products of candidates, (N,), if they stood in the pile."""
        assert self.pile is not None
        values, num = np.empty(len(rows)), len(self.selection.thresholds)
        theirs = zip(split_groups(groups, num), self._pile_by_threshold, strict=True)
        for mine, others in theirs:
            values[mine] = ranks_among(
                scores.instances[rows[mine]], self.pile.instances[others]
            ) * ranks_among(scores.agreement[rows[mine]], self.pile.agreement[others])
        return values

    @cached_property
    def _pile_by_threshold(self) -> list[np.ndarray]:
        """Positions of the pile's candidates under each threshold."""
        assert self.pile is not None
        rows, groups, _ = self.selection.compared(self.pile)
        parts = split_groups(groups, len(self.selection.thresholds))
        return [rows[part] for part in parts]

    def _shares(self, counts: Mapping[str | None, int], total: int) -> np.ndarray:
        if self.sources == (None,):
            return np.ones(1)
        return np.array([counts.get(source, 0) for source in self.sources]) / total


def unlabeled_selection_of(store: LabelStore) -> UnlabeledSelection:
    """The rules of a store's selection.

    Args:
        store: The store.

    Raises:
        UserError: If nothing was labeled or selected yet.
    """
    store.manifest  # noqa: B018  (a sentence when there is no store)
    selection = read_selection(store)
    if not selection.needs_all_candidates:
        return UnlabeledSelection(selection)
    found = read_scores(store, selection.options.counted_thr, agreement=True)
    return UnlabeledSelection(selection, found.scores)
