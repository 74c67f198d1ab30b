"""Samples whose augmentations depend only on the seed of their draw.

A draw is an index with a seed. The sample of a draw is the same in every worker and
after a restart.
"""

from __future__ import annotations

import copy
import random
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmpose.datasets import CombinedDataset
from mmpose.registry import DATASETS as MMPOSE_DATASETS
from torch.utils.data import get_worker_info

from mmdistill.config.metainfo import order_keypoints
from mmdistill.config.schema import is_type
from mmdistill.datasets.draw_phase import drawn
from mmdistill.datasets.pseudo_label_dataset import PseudoLabelDataset
from mmdistill.datasets.pseudo_sources import MixedImages, pseudo_of
from mmdistill.datasets.pseudo_targets import without_weights
from mmdistill.datasets.sample_tags import tag_clean, tag_pseudo
from mmdistill.errors import ConfigError, DataError
from mmdistill.registry import DATASETS
from mmdistill.utils.dataset_members import concatenated

HOST_REJECTS = 'Cannot find valid image'
"""Beginning of the message where a data set of MMEngine has no accepted sample."""


@DATASETS.register_module()
class SeededDataset(CombinedDataset):
    """Wrapper that seeds all augmentations of a sample with the seed of its draw.

    `MixedRatioBatchSampler` yields indices with seeds, so a sample is the same with any
    number of workers and after a restart. A sample that its pipeline rejects is
    replaced by another of the same source; MMPose's `CombinedDataset` would take one
    of any source and so change the mix.

    It is a combined data set, so that MMPose's `browse_dataset.py` shows each of its
    sources. All other attributes, such as `metainfo` and `datasets`, are those of the
    wrapped data set.

    Args:
        dataset: A `ConcatDataset` or `CombinedDataset`, or its config.
        pipeline: Changes of the sources' pipelines, as `browse_dataset.py` makes
            them; only with a config. None or a step with only a type changes
            nothing, an empty list removes all pipelines, and the settings of a step
            are merged into the last step of each pipeline of its type.

    Raises:
        UserError: If a pipeline is stated for a data set that is already built, or has
            a step that is the last one of no pipeline.
    """

    def __init__(self, dataset: Any, pipeline: Sequence[dict] | None = None) -> None:
        # Without super().__init__(), which would build sources and a pipeline.
        if isinstance(dataset, dict):
            dataset = with_last_step(dataset, pipeline)
            order_keypoints(dataset)
            dataset = MMPOSE_DATASETS.build(dataset)
        elif pipeline is not None:
            raise ConfigError(
                'the pipeline of a SeededDataset changes the config of its data set, '
                f'got a {type(dataset).__name__} that is built; give it the config, or '
                'change its own pipelines'
            )
        self.dataset = dataset
        combined = isinstance(dataset, CombinedDataset)
        sizes = dataset.lens if combined else map(len, self.datasets)
        self._ends = [0, *accumulate(sizes)]

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':
            # Copying accesses it before it exists.
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def metainfo(self) -> Any:
        """Metainfo of the wrapped data set."""
        return self.dataset.metainfo

    @property
    def lens(self) -> list[int]:
        """Number of samples of each source."""
        return [end - start for start, end in pairwise(self._ends)]

    def full_init(self) -> None:
        """Initialize the wrapped data set."""
        self.dataset.full_init()

    def get_data_info(self, idx: int) -> Any:
        """Return the annotation of a sample of the wrapped data set.

        Args:
            idx: Number of the sample.
        """
        return self.dataset.get_data_info(idx)

    def prepare_data(self, idx: int) -> Any:
        """Return one sample, as indexing does.

        Args:
            idx: Number of the sample.
        """
        return self[idx]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Return one sample.

        Args:
            index: A `SeededIndex`; with a plain index, augmentations are not seeded
                and the sample is not clean.

        Raises:
            UserError: If the pipeline rejects every sample of a source that is tried.
        """
        if isinstance(index, SeededIndex):
            with seeded(index.seed), drawn(index.clean):
                sample = self._sample(int(index))
                return tag_clean(sample) if index.clean else sample
        return self._sample(index)

    @property
    def datasets(self) -> Sequence[Any]:
        """The sources, or the data set itself where it has none."""
        return concatenated(self.dataset)

    def _sample(self, index: int) -> Any:
        number = bisect_right(self._ends, index)
        source = self.datasets[number - 1]
        weighted = isinstance(source, PseudoLabelDataset) and source.targets
        if not isinstance(self.dataset, BaseDataset):
            # A concatenation: each source has its own pipeline, and replaces rejected
            # samples by its own.
            sample = self._accepted(index, source)
            if isinstance(source, MixedImages) and pseudo_of(source) is not None:
                # It is packed only once it is mixed.
                sample = tag_pseudo(sample)
            return without_weights(sample) if weighted else sample
        for _ in range(self.dataset.max_refetch + 1):
            sample = self._prepared(index, source)
            if sample is not None:
                sample = without_weights(sample) if weighted else sample
                pseudo = isinstance(source, PseudoLabelDataset)
                return source.finished(sample) if pseudo else sample
            index = np.random.randint(*self._ends[number - 1 : number + 1])  # noqa: NPY002
        raise DataError(
            f'the pipeline of {type(self.dataset).__name__} rejects every sample of '
            f'{type(source).__name__} that was tried, '
            f'{self.dataset.max_refetch + 1} of them'
        )

    def _accepted(self, index: int, source: Any) -> Any:
        """A sample of a concatenation that the pipeline of its source accepts."""
        try:
            return self.dataset[index]
        except Exception as error:
            # MMEngine's data sets raise no class of their own.
            if not str(error).startswith(HOST_REJECTS):
                raise
            raise DataError(
                f'the pipeline of {type(source).__name__} rejects every sample of it '
                f'that was tried: {error}'
            ) from error

    def _prepared(self, index: int, source: Any) -> Any:
        """A sample through the pipeline of the combined set, its weights with it."""
        weighted = isinstance(source, PseudoLabelDataset) and source.targets
        if not weighted:
            return self.dataset.prepare_data(index)
        info = self.dataset.get_data_info(index)
        if info is None:
            return None
        info['dataset'] = self.dataset
        return weighted.run(self.dataset.pipeline, info)


def check_weights_carried(dataset: Any) -> None:
    """Refuse weights in a wrapper with its own codec, which would ignore them.

    Args:
        dataset: A data set of several sources.

    Raises:
        ConfigError: If it packs the samples of weighted pseudo-labels itself.
    """
    weighted = [
        'pseudo_weight' if source.weights is None else 'weights'
        for source in concatenated(dataset)
        if isinstance(source, PseudoLabelDataset) and source.is_weighted
    ]
    carries = isinstance(dataset, (SeededDataset, PseudoLabelDataset))
    if weighted and isinstance(dataset, BaseDataset) and not carries:
        raise ConfigError(
            f'{weighted[0]} in a {type(dataset).__name__} needs '
            "dict(type='mmdistill.SeededDataset', dataset=...) around it, got none"
        )


def with_last_step(
    dataset: Mapping[str, Any], pipeline: Sequence[dict] | None
) -> dict[str, Any]:
    """Change the last step of every last pipeline of a data set.

    Args:
        dataset: Config of the data set.
        pipeline: A step whose settings are merged into the last steps of its type; an
            empty list for no steps at all, None for no change.

    Raises:
        UserError: If no pipeline ends with such a step.
    """
    changed = copy.deepcopy(dict(dataset))
    if pipeline is None:
        return changed
    ends = list(last_pipelines(changed))
    if not pipeline:
        for owner in ends:
            owner['pipeline'] = []
        return changed
    step = dict(pipeline[-1])
    name = _short_type(step)
    step.pop('type', None)
    matching = [owner for owner in ends if is_type(owner['pipeline'][-1], name)]
    if not matching:
        last = dict.fromkeys(_short_type(owner['pipeline'][-1]) for owner in ends)
        raise ConfigError(
            'the pipeline of a SeededDataset must be the last step of a pipeline of '
            f'its sources, {" or ".join(last) or "which have none"}; got {name}'
        )
    for owner in matching:
        *before, last = owner['pipeline']
        owner['pipeline'] = [*before, {**last, **step}]
    return changed


def _short_type(step: Mapping[str, Any]) -> str:
    return str(step.get('type')).rpartition('.')[2]


def last_pipelines(dataset: Any) -> Iterator[Any]:
    """Iterate over the configs that hold the last pipelines of a data set.

    Args:
        dataset: Config of a data set, of a wrapper or of a mix.
    """
    if dataset.get('pipeline'):
        yield dataset
        return
    inner = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    for member in inner or ():
        yield from last_pipelines(member)


class SeededIndex(int):
    """Index of a sample, with the seed of its augmentations.

    Args:
        index: Index of the sample.
        seed: Below 2**32.
        clean: Whether the sample is drawn without the student's noise; a
            `NoiseSwitch` in its pipeline obeys.
    """

    seed: int
    clean: bool

    def __new__(cls, index: int, seed: int, clean: bool = False) -> SeededIndex:
        """Create an int with attributes; ints are immutable."""
        draw = super().__new__(cls, index)
        draw.seed = seed
        draw.clean = clean
        return draw

    def __reduce__(self) -> tuple[type[SeededIndex], tuple[int, int, bool]]:
        """Return the call that recreates it in a worker process."""
        return SeededIndex, (int(self), self.seed, self.clean)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed `random`, NumPy and torch, and restore their states afterwards.

    In a worker of a loader, where nothing else draws, states are not restored:
    restoring NumPy's takes longer than everything else.

    Args:
        seed: Below 2**32.
    """
    in_worker = get_worker_info() is not None
    states = None if in_worker else _states()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (what the transforms of the host draw from)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        if states is not None:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])


def _states() -> tuple[Any, Any, torch.Tensor]:
    legacy = np.random.get_state()  # noqa: NPY002
    return random.getstate(), legacy, torch.get_rng_state()
