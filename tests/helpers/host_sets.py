"""Annotation files of the form that each data set class of MMPose wants, made small.

`write_set` writes images and annotations of any of `CLASSES` and gives the config of
the data set; `recipe_of` makes a recipe of such a config, on a network of a few
thousand weights.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS

from mmdistill.config.datasets import unparsed_metainfo

WIDTH, HEIGHT = 120, 160
CODEC = dict(type='MSRAHeatmap', input_size=(32, 32), heatmap_size=(8, 8), sigma=1)
OF_SEVERAL_FRAMES = ('PoseTrack18VideoDataset',)
IN_SPACE = (
    *('H36MWholeBodyDataset', 'Human36mDataset', 'InterHand3DDataset'),
    'UBody3dDataset',
)
BASES = ('BaseCocoStyleDataset', 'BaseMocapDataset', 'CombinedDataset')
DATASETS.get('CocoDataset')  # registers the others
CLASSES = sorted(
    name
    for name, kind in DATASETS.module_dict.items()
    if kind.__module__.startswith('mmpose.')
    and name not in (*OF_SEVERAL_FRAMES, *IN_SPACE, *BASES)
)
"""All data sets of the host that give one image and keypoints in it."""
SUBSETS = {'DeepFashionDataset': ('full', 'upper', 'lower')}
ALL = [(kind, subset) for kind in CLASSES for subset in SUBSETS.get(kind, (None,))]
COUNTS = (2, 0, 1)


def write_set(
    kind: str,
    root: Path,
    counts: tuple[int, ...] = (2, 0, 1),
    **settings: Any,
) -> dict[str, Any]:
    """Write a data set below a folder.

    Args:
        kind: One of `CLASSES`.
        root: An empty folder.
        counts: Instances on each of the images; InterHand's sets have one each.
        **settings: More of the config, as `subset`.

    Returns:
        Its config, without a pipeline.
    """
    dataset = dict(type=kind, data_root=f'{root}/', data_prefix=dict(img='images/'))
    dataset.update(ann_file='annotations.json', **settings)
    if kind.startswith('InterHand'):
        counts = (1,) * len(counts)
        dataset.update(camera_param_file='cameras.json', joint_file='joints.json')
        _write(root / 'cameras.json', {'0': _camera()})
        _write(root / 'joints.json', {'0': {'0': _joints()}})
    num_keypoints = parse_pose_metainfo(unparsed_metainfo(dataset))['num_keypoints']
    images = [
        dict(
            id=number,
            file_name=f'{number}.png',
            width=WIDTH,
            height=HEIGHT,
            capture=0,
            camera='a',
            frame_idx=0,
        )
        for number in range(1, len(counts) + 1)
    ]
    rng = np.random.default_rng(0)
    for image in images:
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        path = root / 'images' / image['file_name']
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    owners = [
        image['id']
        for image, count in zip(images, counts, strict=True)
        for _ in range(count)
    ]
    annotations = [
        _annotation(kind, rng, number, owner, num_keypoints)
        for number, owner in enumerate(owners, start=1)
    ]
    content: Any = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='kind', keypoints=[], skeleton=[])],
    )
    if kind == 'MpiiDataset':
        content = [_of_mpii(each) for each in annotations]
    _write(root / 'annotations.json', content)
    return dataset


def _annotation(
    kind: str, rng: np.random.Generator, number: int, image_id: int, num_keypoints: int
) -> dict[str, Any]:
    """One instance, with what any of the classes reads."""
    points = _points(rng, num_keypoints)
    found = dict(
        id=number,
        image_id=image_id,
        category_id=1,
        bbox=[20, 25, 60, 90],
        area=5400,
        iscrowd=0,
        num_keypoints=num_keypoints,
        num_joints=num_keypoints,
        keypoints=points,
        segmentation=[],
        center=[50, 70],
        scale=0.5,
        box_size=80,
        head_size=[20.0],
        keypoints_21=points,
    )
    if kind in ('CocoWholeBodyDataset', 'UBody2dDataset'):
        parts = dict(keypoints=17, foot_kpts=6, face_kpts=68)
        start = 0
        for name, size in (
            *parts.items(),
            ('lefthand_kpts', 21),
            ('righthand_kpts', 21),
        ):
            found[name] = points[3 * start : 3 * (start + size)]
            start += size
    for name in ('face', 'lefthand', 'righthand'):
        found[f'{name}_valid'] = name != 'righthand'
        found[f'{name}_box'] = [20, 25, 60, 90]
        found.setdefault(f'{name}_kpts', points)
    if kind.startswith('InterHand'):
        found.update(joint_valid=[1] * 42, hand_type='interacting', hand_type_valid=1)
    return found


def _of_mpii(annotation: Mapping[str, Any]) -> dict[str, Any]:
    joints = np.reshape(annotation['keypoints'], (-1, 3))
    return dict(
        image=f'{annotation["image_id"]}.png',
        center=annotation['center'],
        scale=annotation['scale'],
        joints=joints[:, :2].tolist(),
        joints_vis=(joints[:, 2] > 0).astype(int).tolist(),
    )


def _points(rng: np.random.Generator, num_keypoints: int) -> list[float]:
    """Keypoints within the box; the last one is not annotated."""
    xy = rng.uniform((25, 30), (75, 110), (num_keypoints, 2)).round(2)
    points = np.concatenate([xy, np.full((num_keypoints, 1), 2)], axis=1)
    points[-1] = 0
    return points.reshape(-1).tolist()


def _camera() -> dict[str, Any]:
    return dict(
        campos={'a': [0, 0, 0]},
        camrot={'a': np.eye(3).tolist()},
        focal={'a': [100, 100]},
        princpt={'a': [50, 70]},
    )


def _joints() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    joints = rng.uniform((-20, -30, 100), (20, 30, 120), (42, 3))
    return dict(world_coord=joints.tolist())


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def pipeline(training: bool) -> list[dict[str, Any]]:
    """A top-down pipeline for crops of 32 x 32 pixels."""
    steps = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
    if training:
        steps.append(dict(type='RandomFlip', direction='horizontal'))
    steps.append(dict(type='TopdownAffine', input_size=(32, 32)))
    if training:
        steps.append(dict(type='GenerateTarget', encoder=CODEC))
    return [*steps, dict(type='PackPoseInputs')]


def write_teacher(config: Config) -> None:
    """Write a teacher of random weights that sees every keypoint.

    Args:
        config: A recipe of `recipe_of`.
    """
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(copy.deepcopy(config.model))
    torch.nn.init.constant_(model.head.final_layer.bias, 1.0)
    path = Path(config.distill.teacher.checkpoint)
    torch.save(dict(state_dict=model.state_dict()), path)


def write_unlabeled(root: Path, count: int = 4) -> None:
    """Write noise images below a folder.

    Args:
        root: The folder.
        count: Images.
    """
    rng = np.random.default_rng(3)
    root.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        cv2.imwrite(str(root / f'{number}.png'), picture)


def recipe_of(
    dataset: Mapping[str, Any], root: Path, metainfo: Mapping[str, Any], **settings: Any
) -> Config:
    """A recipe that labels a folder of images and trains two steps.

    Args:
        dataset: The labeled set, with its pipelines.
        root: Folder of the run; `root / 'unlabeled'` holds the images.
        metainfo: Keypoints of the set.
        **settings: More of the config, or other settings.
    """
    keypoints = parse_pose_metainfo(dict(metainfo))['num_keypoints']
    test_set = dict(
        type='CocoDataset',
        metainfo=dict(metainfo),
        data_root=str(root),
        ann_file='test.json',
        pipeline=pipeline(training=False),
        test_mode=True,
    )
    recipe = dict(
        default_scope='mmpose',
        work_dir=str(root / 'work'),
        model=dict(
            type='TopdownPoseEstimator',
            data_preprocessor=dict(
                type='PoseDataPreprocessor', mean=[120] * 3, std=[60] * 3
            ),
            backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4),
            head=dict(
                type='HeatmapHead',
                in_channels=32,
                out_channels=keypoints,
                deconv_out_channels=(8, 8, 8),
                deconv_kernel_sizes=(4, 4, 4),
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=CODEC,
            ),
        ),
        train_dataloader=dict(
            batch_size=5,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            dataset=dict(dataset),
        ),
        test_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=test_set,
        ),
        test_cfg=dict(),
        test_evaluator=dict(type='PCKAccuracy', thr=0.1),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
            logger=dict(type='LoggerHook', interval=1),
        ),
        distill=dict(
            teacher=dict(checkpoint=str(root / 'teacher.pth')),
            unlabeled=dict(data_prefix=dict(img=str(root / 'unlabeled'))),
            views=dict(scales=(1.0,), flip=True),
            selection=dict(keypoint_thr=0.0),
            labeling=dict(num_workers=0, batch_size=4, score_floor=-1),
            store=str(root / 'labels'),
        ),
    )
    return Config({**recipe, **settings})
