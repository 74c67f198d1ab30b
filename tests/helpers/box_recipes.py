"""Small recipes of detectors, with drawn images of squares and bars."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope

NAMES = ('square', 'bar')
IDS = (7, 3)
"""Ids of the categories in their json, which are not in the order of numbers."""
SIZE = (64, 48)
BASES = dict(
    rtmdet='rtmdet/rtmdet_tiny_8xb32-300e_coco.py',
    faster_rcnn='faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    retinanet='retinanet/retinanet_r50_fpn_1x_coco.py',
    fcos='fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    yolox='yolox/yolox_tiny_8xb8-300e_coco.py',
)
RESNET = dict(
    backbone=dict(depth=18, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
)
MODELS_OF = dict(
    rtmdet=dict(
        data_preprocessor=dict(pad_size_divisor=32, batch_augments=None),
        backbone=dict(widen_factor=0.125, norm_cfg=dict(type='BN'), init_cfg=None),
        neck=dict(in_channels=[32, 64, 128], out_channels=16, norm_cfg=dict(type='BN')),
        bbox_head=dict(
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            exp_on_reg=True,
            norm_cfg=dict(type='BN'),
        ),
    ),
    faster_rcnn=dict(
        **RESNET,
        rpn_head=dict(in_channels=16, feat_channels=16),
        roi_head=dict(
            bbox_roi_extractor=dict(out_channels=16),
            bbox_head=dict(in_channels=16, fc_out_channels=32, num_classes=2),
        ),
        train_cfg=dict(rpn_proposal=dict(nms_pre=50, max_per_img=50)),
        test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=50)),
    ),
    retinanet=dict(
        **RESNET, bbox_head=dict(num_classes=2, in_channels=16, feat_channels=16)
    ),
    fcos=dict(
        backbone=dict(
            depth=18,
            base_channels=8,
            init_cfg=None,
            norm_cfg=dict(type='BN', requires_grad=False),
        ),
        neck=RESNET['neck'],
        bbox_head=dict(
            num_classes=2,
            in_channels=16,
            feat_channels=16,
            norm_cfg=dict(type='GN', num_groups=4),
        ),
    ),
    yolox=dict(
        data_preprocessor=dict(batch_augments=None),
        backbone=dict(widen_factor=0.125),
        neck=dict(in_channels=[32, 64, 128], out_channels=16, num_csp_blocks=1),
        bbox_head=dict(num_classes=2, in_channels=16, feat_channels=16),
    ),
)


def write_boxes(root: Path, name: str, count: int, seed: int) -> Path:
    """Write drawn images below `root/name`, and their COCO json beside it."""
    rng = np.random.default_rng(seed)
    images, annotations = [], []
    (root / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        width, height = SIZE
        image = rng.integers(0, 60, (height, width, 3), np.uint8)
        for label in rng.integers(0, 2, rng.integers(1, 4)).tolist():
            w, h = (16, 16) if label == 0 else (26, 8)
            x, y = (int(rng.integers(0, most)) for most in (width - w, height - h))
            image[y : y + h, x : x + w] = (230, 60, 40) if label == 0 else (40, 220, 90)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number + 1,
                    category_id=IDS[label],
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                )
            )
        file = f'{number:03d}.png'
        cv2.imwrite(str(root / name / file), image)
        images.append(dict(id=number + 1, file_name=file, width=width, height=height))
    path = root / f'{name}.json'
    categories = [dict(id=i, name=n) for i, n in zip(IDS, NAMES, strict=True)]
    content = dict(images=images, annotations=annotations, categories=categories)
    path.write_text(json.dumps(content))
    return path


def small_detector(kind: str) -> Config:
    """The config of a detector of MMDetection, with few channels."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        config = _read(f'mmdet::{BASES[kind]}')
    config.merge_from_dict(dict(model=MODELS_OF[kind]))
    return config


def _read(name: str) -> Config:
    from mmengine.hub import get_config

    return get_config(name)


def box_recipe(root: Path, kind: str, is_taught: bool = True) -> Config:
    """A recipe of a detector on drawn images, an epoch long.

    Its teacher has random weights, or is a file without any.
    """
    config = small_detector(kind)
    write_boxes(root, 'labeled', 6, seed=0)
    write_boxes(root, 'unlabeled', 5, seed=1)
    data = dict(
        data_root=f'{root}/',
        ann_file='labeled.json',
        data_prefix=dict(img='labeled/'),
        metainfo=dict(classes=NAMES),
        filter_cfg=dict(filter_empty_gt=True, min_size=1),
    )
    train = config.train_dataloader
    owner = train.dataset.dataset if kind == 'yolox' else train.dataset
    owner.update(data)
    shrink_pipelines(config, 64)
    train.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.test_dataloader.dataset.update(data)
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
    config.param_scheduler = []
    config.default_scope = 'mmdet'
    config.work_dir = str(root / 'work')
    config.randomness = dict(seed=0)
    teacher = root / 'teacher.pth'
    if is_taught:
        write_teacher(config, teacher)
    else:
        teacher.touch()
    config.distill = dict(
        teacher=dict(checkpoint=str(teacher)),
        unlabeled=dict(data_root=str(root), data_prefix=dict(img='unlabeled')),
        store=str(root / 'labels'),
        views=dict(scales=(1.0, 1.5), flip=True),
        labeling=dict(batch_size=3, num_workers=0, chunk_size=3, score_floor=0.0),
    )
    path = root / 'recipe.py'
    config.dump(path)
    return Config.fromfile(path)


def write_teacher(config: Config, path: Path, classes: Any = NAMES) -> None:
    """A teacher with random weights, which finds something everywhere."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        # MMDetection writes into the config that it builds.
        model = MODELS.build(copy.deepcopy(config.model))
    lively(model)
    meta = dict(dataset_meta=dict(classes=tuple(classes)))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)


DEVIATIONS = dict(cls=1.0, reg=0.3)
"""Standard deviations of a lively detector's scores, as logits, and of its boxes."""


@torch.no_grad()
def lively(model: torch.nn.Module) -> None:
    """Give a new detector boxes that differ: as initialized, all would be alike."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    handles, seen = [], set()

    def normalize(deviation: float) -> Any:
        """Scale a layer's outputs to a deviation, when it is called first."""

        def scale(layer: Any, inputs: Any, outputs: torch.Tensor) -> torch.Tensor:
            if layer in seen:
                return outputs
            seen.add(layer)
            if layer.bias is not None:
                layer.bias.zero_()
            layer.weight *= deviation / (layer.forward(*inputs).std() + 1e-9)
            return layer.forward(*inputs)

        return scale

    for name, layer in model.named_modules():
        for kind, deviation in DEVIATIONS.items():
            if kind in name and isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
                handles.append(layer.register_forward_hook(normalize(deviation)))
    shape = dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0))
    image = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    model.eval().test_step(
        dict(inputs=[image], data_samples=[DetDataSample(metainfo=shape)])
    )
    for handle in handles:
        handle.remove()


def detector_pipeline(config: Config) -> list:
    """A detector's test pipeline for images of some 64 pixels, without annotations."""
    pipeline = [dict(s) for s in config.test_dataloader.dataset.pipeline]
    _shrink(pipeline)
    return [step for step in pipeline if step['type'] != 'LoadAnnotations']


def shrink_pipelines(config: Config, side: int) -> None:
    """Let all pipelines of a config make images of some pixels a side."""
    for pipeline in _pipelines(config):
        _shrink(pipeline, side)


def _pipelines(config: Config) -> list:
    train = config.train_dataloader.dataset
    inner = [train.dataset.pipeline] if 'dataset' in train else []
    return [*inner, train.pipeline, config.test_dataloader.dataset.pipeline]


def _shrink(pipeline: list, side: int = 64) -> None:
    """Images as small as they are drawn, whatever the steps are."""
    for step in pipeline:
        for key in ('scale', 'img_scale', 'size', 'crop_size'):
            if step.get(key) is not None:
                step[key] = (side, side)
        if step['type'] == 'RandomAffine':
            step['border'] = (-32, -32)
