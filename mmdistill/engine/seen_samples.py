"""The labelled share that a training really had: its samples counted by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce

from mmdistill.sample_kind import count_pseudo


@dataclass
class SeenSamples:
    """Samples of the batches that were trained on.

    Attributes:
        labeled: Labelled ones.
        pseudo: Pseudo-labelled ones.
    """

    labeled: int = 0
    pseudo: int = 0

    @property
    def share(self) -> float:
        """Labelled ones among all; 0 before the first batch."""
        return self.labeled / max(self.labeled + self.pseudo, 1)

    def add(self, samples: Sequence[Any]) -> None:
        """Count a batch.

        Args:
            samples: Its data samples.
        """
        pseudo = count_pseudo(samples)
        self.pseudo += pseudo
        self.labeled += len(samples) - pseudo

    def of_all_ranks(self) -> SeenSamples:
        """Those of all processes together; every one of them must ask."""
        counts = torch.tensor([self.labeled, self.pseudo])
        all_reduce(counts)
        return SeenSamples(*counts.tolist())

    def figures(self) -> dict[str, float]:
        """The figures by name, for MMEngine's visualizer."""
        return {
            'mix/seen_labeled': self.labeled,
            'mix/seen_pseudo': self.pseudo,
            'mix/seen_labeled_share': self.share,
        }


def kinds_are_told(dataset: Any) -> bool:
    """Whether samples of a data set say which are pseudo-labelled.

    Those of a `PseudoLabelDataset` do where it packs them itself. A `CombinedDataset`
    packs the samples of its sources, and may replace one by one of another source;
    only in a `SeededDataset` it is known which is which.

    Args:
        dataset: The data set of a training.
    """
    packs_itself = hasattr(dataset, 'prepare_data')
    return not packs_itself or getattr(dataset, 'marks_samples', False)
