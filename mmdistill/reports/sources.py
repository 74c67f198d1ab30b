"""Where the images of a store come from: a folder, a video, a domain each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mmdistill.labels import Selection
from mmdistill.labels.thresholds import described_range

ONE_SOURCE = 'all images'


@dataclass
class SourceCounts:
    """What labelling gave for one source.

    Attributes:
        images: Images that could be read.
        failed: Images that could not.
        without_labels: Images that could be read and have no label.
        candidates: Candidates on them.
        kept: Candidates that are kept.
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
        """Kept candidates per image."""
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
    """Images of a part of a store, `I` of them.

    Attributes:
        read: Which could be read, (I,), bool.
        candidates: Candidates of each, (I,).
        kept: Kept candidates of each, (I,).
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
    """Counts of all sources, part by part of a store."""

    counts: dict[str, SourceCounts] = field(default_factory=dict)

    def add(self, names: list[str], images: ImageCounts) -> None:
        """Add images.

        Args:
            names: The source of each image, (I,).
            images: What was found on them.
        """
        known, place = np.unique(np.array(names, dtype=object), return_inverse=True)
        for number, name in enumerate(known):
            here = place == number
            counts = self.counts.setdefault(name, SourceCounts())
            counts.images += int(images.read[here].sum())
            counts.failed += int((~images.read[here]).sum())
            bare = images.read & (images.kept == 0)
            counts.without_labels += int(bare[here].sum())
            counts.candidates += int(images.candidates[here].sum())
            counts.kept += int(images.kept[here].sum())
            counts.score_sum += float(images.score_sum[here].sum())
            counts.agreement_sum += float(images.agreement_sum[here].sum())


def sources_of(table: pa.Table) -> list[str]:
    """The source of each image of a table of the store, (I,).

    Args:
        table: Rows of a store; without a column `source`, or where it is
            empty, they are one source.
    """
    if 'source' in table.column_names:
        return [source or ONE_SOURCE for source in table['source'].to_pylist()]
    return [ONE_SOURCE] * len(table)


def thresholds_of(selection: Selection, source: str) -> str:
    """What candidates of a source must at least have, over all categories."""
    own = '' if source == ONE_SOURCE else source
    found = [t.score_thr for t in selection.thresholds if t.source in (None, own)]
    return described_range(found, 3)


def categories_of(selection: Selection) -> list[dict[str, Any]]:
    """What becomes of each category, over all sources; nothing where there is one.

    Args:
        selection: The selection.
    """
    numbers = {part.category_id for part in selection.parts}
    if len(numbers) < 2:
        return []
    parts_of = {
        number: [part for part in selection.parts if part.category_id == number]
        for number in sorted(numbers, key=lambda number: number or 0)
    }
    images = max(selection.unlabeled.images, 1)
    return [
        dict(
            category_id=number,
            candidates=sum(part.candidates for part in parts),
            kept=sum(part.kept for part in parts),
            mean=sum(part.kept for part in parts) / images,
            labeled_mean=selection.labeled.mean(selection.over, number),
            threshold=described_range([part.score_thr for part in parts], 3),
        )
        for number, parts in parts_of.items()
    ]
