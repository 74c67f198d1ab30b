"""Trainings of a model without images, that note rates and weights of each step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn

from mmdistill.engine.runner import stage_runner


@DATASETS.register_module()
class Numbers(torch.utils.data.Dataset):
    """The numbers 0, 1, 2, …, as samples."""

    METAINFO = dict(dataset_name='numbers')

    def __init__(self, length: int) -> None:
        self.length = length
        self.metainfo = self.METAINFO

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return dict(inputs=torch.tensor(float(index)))


@MODELS.register_module()
class TwoLayers(BaseModel):
    """A backbone and a head, so that each may have a rate of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        self.head = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1)

    def init_weights(self) -> None:
        for number, parameter in enumerate(self.parameters()):
            parameter.data.fill_(0.1 + 0.01 * number)

    def forward(self, inputs: Any, mode: str = 'tensor') -> Any:
        numbers = torch.stack(list(inputs))[:, None]
        outputs = self.head(self.norm(self.backbone(numbers)))
        return dict(loss=(outputs - numbers).square().mean())


class Notes(Hook):
    """Notes the rate of each parameter group and the weights after each step."""

    # After MMEngine's hook that steps schedulers.
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.rates: list[list[float]] = []
        self.momenta: list[float] = []
        self.weights: list[dict[str, torch.Tensor]] = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        groups = runner.optim_wrapper.param_groups
        self.rates.append([group['lr'] for group in groups])
        self.momenta.append(groups[0].get('momentum', 0))

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        state = runner.model.state_dict()
        self.weights.append({key: value.clone() for key, value in state.items()})


def numbers_config(work_dir: Path, **settings: Any) -> Config:
    """A training on numbers, 3 iterations an epoch.

    Args:
        work_dir: Where the run writes.
        **settings: More of the config.
    """
    base = dict(
        default_scope='mmengine',
        work_dir=str(work_dir),
        model=dict(type='TwoLayers'),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(type='Numbers', length=6),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=10),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        default_hooks=dict(
            checkpoint=None, logger=dict(type='LoggerHook', interval=10**6)
        ),
        randomness=dict(seed=0),
        log_level='ERROR',
    )
    config = Config({**base, **settings})
    if not config.train_cfg.by_epoch:
        # Any other makes MMEngine wait between epochs.
        config.train_dataloader.sampler.type = 'InfiniteSampler'
    return config


def noted(config: Config) -> tuple[Notes, Runner]:
    """Train, and note rates and weights.

    Args:
        config: The config.
    """
    notes, runner = Notes(), stage_runner(config)
    runner.register_hook(notes)
    runner.train()
    return notes, runner
