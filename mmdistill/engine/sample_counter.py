"""Counts of the samples that a student was trained on, by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import all_reduce

from mmdistill.datasets.sample_tags import count_pseudo_labels
from mmdistill.datasets.seeded_dataset import SeededDataset


@dataclass
class SampleCounter:
    """Samples of the batches that were trained on.

    Attributes:
        labeled: Labeled ones.
        pseudo: Pseudo-labeled ones.
    """

    labeled: int = 0
    pseudo: int = 0

    @property
    def share(self) -> float:
        """Labeled ones among all; 0 before the first batch."""
        return self.labeled / max(self.labeled + self.pseudo, 1)

    def add(self, samples: Sequence[Any]) -> None:
        """Count a batch.

        Args:
            samples: Its data samples.
        """
        pseudo = count_pseudo_labels(samples)
        self.pseudo += pseudo
        self.labeled += len(samples) - pseudo

    def of_all_ranks(self) -> SampleCounter:
        """Those of all processes together; every one of them must ask."""
        counts = torch.tensor([self.labeled, self.pseudo])
        all_reduce(counts)
        return SampleCounter(*counts.tolist())

    def figures(self) -> dict[str, float]:
        """The figures by name, for MMEngine's visualizer."""
        return {
            'mix/seen_labeled': self.labeled,
            'mix/seen_pseudo': self.pseudo,
            'mix/seen_labeled_share': self.share,
        }


def has_sample_tags(dataset: Any) -> bool:
    """Whether samples of a data set say which are pseudo-labeled.

    Those of a `PseudoLabelDataset` do where it packs them itself. A `CombinedDataset`
    packs the samples of its sources, and may replace one by one of another source;
    only in a `SeededDataset` it is known which is which.

    Args:
        dataset: The data set of a training.
    """
    packs_itself = isinstance(dataset, BaseDataset)
    return isinstance(dataset, SeededDataset) or not packs_itself
