"""Samples that depend on their draw alone: not on the worker, nor on a restart."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Any

import numpy as np
from mmpose.registry import DATASETS as MMPOSE_DATASETS

from mmdistill.datasets.draw import Draw, seeded
from mmdistill.datasets.pseudo_weight import weighed
from mmdistill.errors import UserError
from mmdistill.registry import DATASETS
from mmdistill.sample_kind import marked


@DATASETS.register_module()
class SeededDataset:
    """A wrapper that draws every augmentation from the seed of its draw.

    `MixedRatioBatchSampler` says with each index which draw of the run it is. So a
    sample is the same with any number of workers, and after a restart. A sample
    that its pipeline gives up is replaced by another of the same source; MMPose's
    `CombinedDataset` would take one of any source and so change the mix.

    Everything else, as `metainfo` and `datasets`, is the wrapped data set's.

    Args:
        dataset: A `ConcatDataset` or `CombinedDataset`, or its config.
    """

    marks_samples = True
    """Samples of pseudo-labels say so, also where the wrapped data set packs them."""

    def __init__(self, dataset: Any) -> None:
        built = MMPOSE_DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.dataset = built
        lengths = getattr(built, 'lens', None) or map(len, self.datasets)
        self._ends = [0, *accumulate(lengths)]

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':
            # Asked for while a copy is made, before there is one.
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """One sample.

        Args:
            index: A `Draw`; another index is read as the wrapped data set reads it,
                but for the source that replaces what is given up.

        Raises:
            UserError: If a source gives up every sample that is tried.
        """
        if isinstance(index, Draw):
            with seeded(index.seed):
                return self._sample(int(index))
        return self._sample(index)

    @property
    def datasets(self) -> list[Any]:
        """The sources, or the data set itself where it has none."""
        return getattr(self.dataset, 'datasets', [self.dataset])

    def _sample(self, index: int) -> Any:
        if not hasattr(self.dataset, 'prepare_data'):
            # A concatenation: each source has its own pipeline, and replaces within
            # itself what that gives up.
            return self.dataset[index]
        number = bisect_right(self._ends, index)
        source = self.datasets[number - 1]
        for _ in range(self.dataset.max_refetch + 1):
            sample = self.dataset.prepare_data(index)
            if sample is not None:
                sample = marked(sample) if hasattr(source, 'selection') else sample
                return weighed(sample, getattr(source, 'pseudo_weight', 1))
            index = np.random.randint(*self._ends[number - 1 : number + 1])  # noqa: NPY002
        raise UserError(
            f'the pipeline of {type(self.dataset).__name__} gives up every sample of '
            f'{type(source).__name__} that was tried, '
            f'{self.dataset.max_refetch + 1} of them'
        )
