"""Hook that switches the pipeline of every source for the last epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.dataset import Compose
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmpose.datasets import CombinedDataset

from mmdistill.registry import HOOKS
from mmdistill.utils.dataset_members import Concatenation, Wrapper


@HOOKS.register_module()
class SourcePipelineSwitchHook(Hook):
    """Switch the pipeline of every source at an epoch.

    MMDetection's `PipelineSwitchHook` sets the pipeline of the training set itself,
    which is unused where the set has several sources. In a `CombinedDataset` the
    pipeline of the combined set switches; the converters of its members stay. Workers
    must not be persistent: they would keep the pipeline they started with.

    Args:
        switch_epoch: First epoch, counted from 0, with the other pipeline.
        switch_pipeline: Configs of its transforms.
    """

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[dict]) -> None:
        self.switch_epoch = switch_epoch
        self.switch_pipeline = switch_pipeline
        self._switched = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch once the epoch is reached, also when training is resumed after it.

        Args:
            runner: The runner of the training stage.
        """
        if self._switched or runner.epoch < self.switch_epoch:
            return
        dataset = runner.train_dataloader.dataset
        for source in pipeline_owners(dataset):
            source.pipeline = Compose(self.switch_pipeline)
        self._switched = True
        print_log(f'the pipeline switches at epoch {runner.epoch}', logger='current')


def pipeline_owners(dataset: Any) -> Iterator[Any]:
    """Iterate over the data sets whose pipelines make the final samples.

    Args:
        dataset: A training set, within any number of wrappers.
    """
    if isinstance(dataset, Wrapper):
        yield from pipeline_owners(dataset.dataset)
    elif isinstance(dataset, CombinedDataset) or not isinstance(dataset, Concatenation):
        yield dataset
    else:
        for source in dataset.datasets:
            yield from pipeline_owners(source)
