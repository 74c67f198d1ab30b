"""Another pipeline for the last epochs, for every source of the training set."""

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

    MMDetection's `PipelineSwitchHook` gives the pipeline to the training set itself,
    which of several sources has none that is used. In a `CombinedDataset` it is the
    combined set's own that switches; what its members convert stays. Workers must not
    be persistent: they would keep the pipeline they started with.

    Args:
        switch_epoch: First epoch, counted from 0, with the other pipeline.
        switch_pipeline: Configs of its transforms.
    """

    def __init__(self, switch_epoch: int, switch_pipeline: Sequence[dict]) -> None:
        self.switch_epoch = switch_epoch
        self.switch_pipeline = switch_pipeline
        self._switched = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch, once the epoch has come; also when a training is resumed later.

        Args:
            runner: The runner of the training stage.
        """
        if self._switched or runner.epoch < self.switch_epoch:
            return
        dataset = runner.train_dataloader.dataset
        for source in _with_pipelines(dataset):
            source.pipeline = Compose(self.switch_pipeline)
        self._switched = True
        print_log(f'the pipeline switches at epoch {runner.epoch}', logger='current')


def _with_pipelines(dataset: Any) -> Iterator[Any]:
    """The data sets whose pipelines the samples end in."""
    if isinstance(dataset, Wrapper):
        yield from _with_pipelines(dataset.dataset)
    elif isinstance(dataset, CombinedDataset) or not isinstance(dataset, Concatenation):
        yield dataset
    else:
        for source in dataset.datasets:
            yield from _with_pipelines(source)
