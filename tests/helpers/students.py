"""A student that trains in seconds: real data sets, loader, model and runner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdistill.config.text import TextConfig
from mmdistill.engine.runner import stage_runner
from mmdistill.store import LabelStore

COCO = dict(from_file='configs/_base_/datasets/coco.py')
CODEC = dict(type='MSRAHeatmap', input_size=(32, 32), heatmap_size=(8, 8), sigma=1)
HEAD = dict(
    type='HeatmapHead',
    in_channels=32,
    out_channels=17,
    deconv_out_channels=(8, 8, 8),
    deconv_kernel_sizes=(4, 4, 4),
    loss=dict(type='KeypointMSELoss', use_target_weight=True),
    decoder=CODEC,
)


def pipeline(codec: dict[str, Any]) -> list[dict[str, Any]]:
    """A training pipeline whose every step draws from a random state."""
    return [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='RandomBBoxTransform'),
        dict(type='TopdownAffine', input_size=(32, 32)),
        dict(type='PhotometricDistortion'),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs', meta_keys=('id', 'img_path')),
    ]


def student_config(
    toy_root: Path,
    store: LabelStore,
    work_dir: Path,
    *,
    head: dict[str, Any] = HEAD,
    pseudo_weight: float = 1.0,
    **settings: Any,
) -> Config:
    """A training of 6 iterations with batches of 5; the config of MMPose's tools.

    Args:
        toy_root: The toy data.
        store: The pseudo-labels, with a selection.
        work_dir: Where the run writes.
        head: The model's head, with its codec.
        pseudo_weight: Of the pseudo-labels.
        **settings: More of the config.
    """
    codec = head['decoder']
    labeled = dict(
        type='CocoDataset',
        metainfo=COCO,
        ann_file=str(toy_root / 'annotations/labeled.json'),
        data_prefix=dict(img=f'{toy_root}/images/labeled/'),
        pipeline=pipeline(codec),
    )
    pseudo = dict(
        type='mmdistill.PseudoLabelDataset',
        metainfo=COCO,
        store=str(store.root),
        pipeline=pipeline(codec),
        pseudo_weight=pseudo_weight,
    )
    base = dict(
        default_scope='mmpose',
        work_dir=str(work_dir),
        model=dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(
                type='PoseDataPreprocessor', mean=[120] * 3, std=[60] * 3
            ),
            backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4),
            head=head,
        ),
        train_dataloader=dict(
            batch_size=5,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_sampler=dict(type='mmdistill.MixedRatioBatchSampler', num_batches=4),
            dataset=dict(
                type='ConcatDataset', ignore_keys='CLASSES', datasets=[labeled, pseudo]
            ),
        ),
        train_cfg=dict(by_epoch=False, max_iters=6),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1),
            logger=dict(type='LoggerHook', interval=1),
        ),
    )
    return Config({**base, **settings})


def write_labels(root: Path, fixture: Callable[[str], Any]) -> LabelStore:
    """Write 11 pseudo-labels and their images.

    Args:
        root: An empty folder.
        fixture: Gives a fixture by its name.
    """
    rows = fixture('make_rows')((4, 0, 2, 5))
    fixture('write_images')(root / 'images', *(row.path for row in rows))
    store = fixture('make_store')(root / 'store', rows, img_root=root / 'images')
    fixture('make_selection')(0.0).write(store)
    return store


class Diary(Hook):
    """Notes every sample that training sees, with its pixels."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, int]] = []
        self.pixels: list[torch.Tensor] = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        self.samples += [
            (sample.img_path, int(sample.id)) for sample in data_batch['data_samples']
        ]
        self.pixels += data_batch['inputs']


def train(config: Config) -> tuple[Diary, dict[str, torch.Tensor]]:
    """Train as a tool of MMPose would; returns what was seen and the weights."""
    diary = Diary()
    runner = stage_runner(TextConfig.of(config))
    runner.register_hook(diary)
    runner.train()
    return diary, runner.model.state_dict()
