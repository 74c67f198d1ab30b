"""Fixtures: the data of any recipe, in miniature."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from mmdistill.config.datasets import unparsed_metainfo
from mmdistill.config.recipe import Recipe
from mmdistill.registry import DATASETS
from mmdistill.stages.detect_config import images_without_boxes
from mmdistill.stages.label_config import labeled_config
from mmdistill.store import ImageRow, LabelStore
from mmdistill.store.image_keys import frame_key
from mmdistill.store.manifest import DETECTIONS
from mmdistill.store.schema import OK, Candidates

WIDTH, HEIGHT = 96, 128
IMAGES = 3


@pytest.fixture
def write_miniature(tmp_path, monkeypatch, make_candidates) -> Callable[[Config], None]:
    """Write the data that a recipe names, below a folder that becomes the current."""
    monkeypatch.chdir(tmp_path)
    Path('configs').symlink_to(Path(__file__).parents[2] / 'configs')

    def write(config: Config) -> None:
        labeled = labeled_config(Recipe.of(config))
        metainfo = parse_pose_metainfo(unparsed_metainfo(labeled))
        _write_labeled(labeled, metainfo['num_keypoints'])
        boxes = _write_unlabeled(config.distill.unlabeled)
        if folder := Recipe.of(config).distill.boxes_folder:
            found = replace(
                make_candidates(1, num_keypoints=0), bboxes=_corners(boxes[:1])
            )
            _write_found(folder, config, found)
        checkpoint = config.distill.teacher.checkpoint
        if '://' not in checkpoint:
            _make_parent(Path(checkpoint)).touch()

    return write


def _write_labeled(dataset: Mapping[str, Any], num_keypoints: int) -> None:
    """Two instances on each image, as COCO has them, and as 300W has faces."""
    images = _write_images(dataset)
    rng = np.random.default_rng(0)
    annotations = [
        dict(
            id=2 * image['id'] + number,
            image_id=image['id'],
            category_id=1,
            bbox=[8, 8, 64, 96],
            area=64 * 96,
            iscrowd=0,
            num_keypoints=num_keypoints,
            keypoints=_points(rng, num_keypoints),
            center=[40, 56],
            scale=0.4,
        )
        for image in images
        for number in range(2)
    ]
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='kind')],
    )
    _write_json(Path(dataset['data_root'], dataset['ann_file']), content)


def _points(rng: np.random.Generator, count: int) -> list[float]:
    places = rng.uniform(10, 70, (count, 2))
    return np.concatenate([places, np.full((count, 1), 2)], axis=1).ravel().tolist()


def _write_unlabeled(unlabeled: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Images, with a list where the recipe has one, and a box on each."""
    if 'sources' in unlabeled:
        images = _write_video(Path(unlabeled['data_root']), unlabeled['sources'][0])
    else:
        images = _write_images(unlabeled)
    if unlabeled.get('ann_file'):
        path = Path(unlabeled['data_root'], unlabeled['ann_file'])
        _write_json(path, dict(images=images))
    boxes = [
        dict(image_id=image['id'], category_id=1, bbox=[8, 8, 64, 96], score=0.9)
        for image in images
    ]
    default = Path(unlabeled['data_root'], 'boxes.json')
    _write_json(Path(unlabeled.get('bbox_file', default)), boxes)
    return boxes


def _corners(boxes: Sequence[Mapping[str, Any]]) -> np.ndarray:
    x, y, width, height = np.array([box['bbox'] for box in boxes], np.float32).T
    return np.stack([x, y, x + width, y + height], axis=1)


def _write_found(folder: Path, config: Config, found: Candidates) -> None:
    """The store of a detector that found the same box on every image."""
    images = images_without_boxes(Recipe.of(config))
    pile = DATASETS.build(images)
    rows = [ImageRow(path, WIDTH, HEIGHT, OK, '', found) for path in pile.paths]
    made_by = dict(about=dict(img_root=str(pile.img_root)), detector=dict())
    store = LabelStore(folder, DETECTIONS)
    store.claim(dict(made_by, keypoints=[], chunk_size=IMAGES), pile)
    store.write_chunk(0, rows)


def _write_images(dataset: Mapping[str, Any]) -> list[dict[str, Any]]:
    folder = Path(dataset.get('data_root', ''), dataset['data_prefix']['img'])
    for number, picture in enumerate(_pictures()):
        cv2.imwrite(str(_make_parent(folder / f'{number}.png')), picture)
    return [
        dict(id=number, file_name=f'{number}.png', width=WIDTH, height=HEIGHT)
        for number in range(IMAGES)
    ]


def _write_video(root: Path, source: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A video whose frames are as far apart as the source takes them."""
    key = f'{source["path"]}/a.mp4'
    path = str(_make_parent(root / key))
    codec = cv2.VideoWriter.fourcc(*'mp4v')
    video = cv2.VideoWriter(path, codec, 1 / source['seconds'], (WIDTH, HEIGHT))
    for picture in _pictures():
        video.write(picture)
    video.release()
    return [dict(id=frame_key(key, number)) for number in range(IMAGES)]


def _pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    shape = (HEIGHT, WIDTH, 3)
    return [rng.integers(0, 256, shape, np.uint8) for _ in range(IMAGES)]


def _write_json(path: Path, content: Any) -> None:
    _make_parent(path).write_text(json.dumps(content))


def _make_parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
