"""As much of a runner as hooks look at before a training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mmengine.logging import MessageHub

from mmdistill.datasets import MixedRatioBatchSampler


class Figures(dict):
    """Takes the place of MMEngine's visualizer."""

    def add_scalars(self, scalars: dict) -> None:
        self.update(scalars)


class Batches(MixedRatioBatchSampler):
    """Batches of a stated mix, that nothing is drawn from."""

    def __init__(
        self,
        num_labeled: int,
        batch_size: int,
        world_size: int,
        first_finishing: int | None = None,
    ) -> None:
        self.labeled_source = []
        self.is_balanced = False
        self.num_labeled = num_labeled
        self.batch_size = batch_size
        self.world_size = world_size
        self.first_finishing = first_finishing


def training(*sources: Any) -> SimpleNamespace:
    dataset = SimpleNamespace(datasets=list(sources))
    batches = Batches(num_labeled=3, batch_size=5, world_size=1)
    loader = SimpleNamespace(dataset=dataset, batch_sampler=batches)
    return SimpleNamespace(
        train_dataloader=loader,
        visualizer=Figures(),
        message_hub=MessageHub('train'),
        max_iters=9,
    )
