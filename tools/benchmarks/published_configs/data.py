"""Small generated data in the format of any data set of a published config.

Every annotation file that a config reads is written with all the fields that MMPose's
data sets of that form read: COCO json, its whole-body parts, the center and scale of
faces, MPII's list. Images are smooth noise, no two alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmpose.registry import DATASETS
from scipy.io import savemat

from mmdistill.config.datasets import parsed_metainfo

SIDE = 160
"""Pixels of an image along each axis."""
BOX = (24, 16, 96, 120)
WHOLE_BODY = dict(foot=6, face=68, lefthand=21, righthand=21)
BODY_OF_WHOLE = 17
JOINTS = np.random.default_rng(1).uniform((-9, -9, 90), (9, 9, 99), (42, 3)).tolist()
"""Joints of two hands in space, before the one camera of InterHand's sets."""
CAMERA = dict(
    campos=dict(a=[0, 0, 0]),
    camrot=dict(a=np.eye(3).tolist()),
    focal=dict(a=[400, 400]),
    princpt=dict(a=[SIDE / 2, SIDE / 2]),
)
_INTERHAND = dict(
    camera_param_file={'0': CAMERA}, joint_file={'0': {'0': dict(world_coord=JOINTS)}}
)
IMAGES = 2
"""Number of images of an annotation file, each with one instance."""
SAMPLED = 10
"""Divisor of the image ids that some published configs sample."""


def write_data(config: Config, unlabeled: Path, seed: int = 0) -> None:
    """Write the files that a config reads, relative to the current folder.

    Args:
        config: A training config of MMPose.
        unlabeled: Folder of the unlabeled images; their detections, one box each, lie
            beside it.
        seed: Of the noise.
    """
    rng = np.random.default_rng(seed)
    members = list(_members(config))
    # A file that many members of a mix read needs no second image from each.
    images = IMAGES if len(members) < 6 else 1
    for dataset in members:
        _write_labeled(dataset, rng, images)
    for evaluator in _evaluators(config):
        _write_truth(evaluator, members)
    boxes = []
    for number in range(IMAGES):
        _write_image(unlabeled / f'{number}.png', rng)
        boxes.append(_box(f'{number}.png'))
    unlabeled.with_suffix('.bbox.json').write_text(json.dumps(boxes))


def leaves(dataset: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Iterate over data sets with annotation files within wrappers and mixes."""
    if 'dataset' in dataset:
        yield from leaves(dataset['dataset'])
    elif 'datasets' in dataset:
        for member in dataset['datasets']:
            yield from leaves(member)
    else:
        yield dataset


def _members(config: Config) -> Iterator[Mapping[str, Any]]:
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loaders = config.get(loader) or []
        for loader_config in loaders if isinstance(loaders, list) else [loaders]:
            yield from leaves(loader_config['dataset'])


def _evaluators(config: Config) -> Iterator[Mapping[str, Any]]:
    for name in ('val_evaluator', 'test_evaluator'):
        evaluators = config.get(name) or []
        pending = list(evaluators) if isinstance(evaluators, list) else [evaluators]
        while pending:
            evaluator = pending.pop()
            pending.extend(evaluator.get('metrics', ()))
            yield evaluator


def _write_labeled(
    dataset: Mapping[str, Any], rng: np.random.Generator, images: int
) -> None:
    root = Path(dataset.get('data_root') or '')
    folder = root / (dataset.get('data_prefix') or {}).get('img', '')
    ids = [SAMPLED * (number + 1) for number in range(images)]
    names = [f'{image_id}.png' for image_id in ids]
    for name in names:
        if not (folder / name).exists():
            _write_image(folder / name, rng)
    path = root / dataset['ann_file']
    if not path.exists():
        count = num_keypoints(dataset)
        form = _mpii_list if dataset['type'] == 'MpiiDataset' else _coco
        _write_json(path, form(names, count, rng))
    if dataset.get('bbox_file'):
        boxes = [_box(image_id) for image_id in ids]
        _write_json(Path(dataset['bbox_file']), boxes)
        # MMPose joins the data root to it, where one is stated beside ann_file.
        _write_json(root / dataset['bbox_file'], boxes)
    for name, content in _INTERHAND.items():
        if dataset.get(name):
            _write_json(root / dataset[name], content)
    if dataset.get('headbox_file'):
        heads = np.tile(np.float64([[60, 20], [90, 50]])[..., None], images)
        headboxes = Path(dataset['headbox_file'])
        headboxes.parent.mkdir(parents=True, exist_ok=True)
        savemat(headboxes, dict(headboxes_src=heads))


def smooth_noise(rng: np.random.Generator, side: int) -> np.ndarray:
    """Draw an image of smooth noise, uint8, (side, side, 3).

    Args:
        rng: The source of the noise.
        side: Pixels along each axis.
    """
    coarse = rng.integers(0, 256, (10, 10, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def num_keypoints(dataset: Mapping[str, Any]) -> int:
    """Return the number of keypoints of a data set, the body's for whole-body sets."""
    if dataset['type'].startswith(('CocoWholeBody', 'UBody2d')):
        return BODY_OF_WHOLE
    if dataset['type'] not in DATASETS:
        return 1  # a class that this MMPose does not have, whatever its data
    return parsed_metainfo(dataset)['num_keypoints']


def _coco(names: list[str], count: int, rng: np.random.Generator) -> dict[str, Any]:
    return dict(
        images=[
            dict(
                id=int(Path(name).stem),
                file_name=name,
                width=SIDE,
                height=SIDE,
                **dict(capture=0, camera='a', frame_idx=0),
            )
            for name in names
        ],
        annotations=[_annotation(int(Path(name).stem), count, rng) for name in names],
        categories=[dict(id=1, name='object')],
    )


def _annotation(number: int, count: int, rng: np.random.Generator) -> dict[str, Any]:
    x, y, width, height = BOX
    annotation = dict(
        id=number,
        image_id=number,
        category_id=1,
        bbox=list(BOX),
        area=width * height,
        iscrowd=0,
        segmentation=[[x, y, x + width, y, x + width, y + height, x, y + height]],
        num_keypoints=count,
        keypoints=_points(count, rng),
        # Faces have these in units of 200 pixels.
        center=[x + width / 2, y + height / 2],
        scale=height / 200,
        box_size=width,
        keypoints_21=_points(21, rng),
        joint_valid=[1] * len(JOINTS),
        hand_type='interacting',
        hand_type_valid=1,
    )
    for part, points in WHOLE_BODY.items():
        annotation[f'{part}_kpts'] = _points(points, rng)
        annotation[f'{part}_valid'] = True
        annotation[f'{part}_box'] = list(BOX)
    return annotation


def _mpii_list(
    names: list[str], count: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    x, y, width, height = BOX
    points = [np.reshape(_points(count, rng), (count, 3)) for _ in names]
    return [
        dict(
            image=name,
            center=[x + width / 2, y + height / 2],
            scale=height / 200,
            joints=joints[:, :2].tolist(),
            joints_vis=[1] * count,
        )
        for name, joints in zip(names, points, strict=True)
    ]


def _points(count: int, rng: np.random.Generator) -> list[float]:
    x, y, width, height = BOX
    positions = rng.uniform((x, y), (x + width, y + height), (count, 2)).round(2)
    return np.concatenate([positions, np.full((count, 1), 2)], axis=1).ravel().tolist()


def _write_truth(evaluator: Mapping[str, Any], members: list) -> None:
    """Copy the annotations for an evaluator that reads another file."""
    path = evaluator.get('ann_file')
    if path and not Path(path).exists():
        known = [Path(m.get('data_root') or '', m['ann_file']) for m in members]
        like = [each for each in known if each.name == Path(path).name] or known[-1:]
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(like[0].read_bytes())


def _box(image_id: str | int) -> dict[str, Any]:
    return dict(image_id=image_id, category_id=1, bbox=list(BOX), score=0.9)


def _write_image(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), smooth_noise(rng, SIDE))


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
