"""Configs of a training, as far as they are built dry."""

from __future__ import annotations

from mmengine.config import Config


def training(*transforms, **more):
    dataset = dict(type='CocoDataset', pipeline=list(transforms))
    return Config(dict(train_dataloader=dict(batch_size=2, dataset=dataset), **more))
