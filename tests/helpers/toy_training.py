"""A training of one linear layer by MMEngine, and its checkpoints."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn
from torch.utils.data import Dataset


class ToyModel(BaseModel):
    """One linear layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs, mode='tensor'):
        out = self.layer(torch.stack(inputs))
        return dict(loss=out.square().mean()) if mode == 'loss' else out


class ToyData(Dataset):
    """Four points, with metainfo as MMPose's data sets have it."""

    metainfo = dict(
        dataset_name='toy',
        keypoint_id2name={0: 'nose'},
        sigmas=np.float32([0.1]),
        keypoint_colors=np.array([[1, 2, 3]], dtype=np.uint8),
        dataset_keypoint_weights=np.ones(1),
        score=np.float64(0.5),
    )

    def __len__(self):
        return 4

    def __getitem__(self, number):
        return dict(inputs=torch.full((2,), float(number)))


def train(work_dir, epochs, resume=False):
    runner = Runner(
        model=ToyModel(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            dataset=ToyData(),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.01)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        resume=resume,
        default_scope='mmpose',
        experiment_name=f'{work_dir.name}_{epochs}_{resume}',
    )
    runner.train()
    return runner


def save(path, **content):
    torch.save(content, path)
    return str(path)


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), 'cpu')
