"""As much of a runner as hooks look at before a training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mmengine.logging import MessageHub


class Figures(dict):
    """Takes the place of MMEngine's visualizer."""

    def add_scalars(self, scalars: dict) -> None:
        self.update(scalars)


def training(*sources: Any) -> SimpleNamespace:
    dataset = SimpleNamespace(datasets=list(sources))
    batches = SimpleNamespace(num_labeled=3, batch_size=5, world_size=1)
    loader = SimpleNamespace(dataset=dataset, batch_sampler=batches)
    return SimpleNamespace(
        train_dataloader=loader,
        visualizer=Figures(),
        message_hub=MessageHub('train'),
        max_iters=9,
    )
