"""Every recipe of a detector: its length, its data and models, and its training."""

from __future__ import annotations

import ast
import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from mmdistill import stages
from mmdistill.config.recipe import Recipe
from mmdistill.models import BoxDetector
from mmdistill.stages.label_config import label_config
from mmdistill.stages.train_config import student_config
from tests.helpers.box_recipes import lively, shrink_pipelines

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / 'configs' / 'distill' / 'detection'
CONFIGS = sorted(FOLDER.glob('*.py'))
RECIPES = [path for path in CONFIGS if 'distill = dict(' in path.read_text()]
README = (REPOSITORY / 'configs' / 'README.md').read_text()
CLASSES = ('person', 'cat', 'dog')
IMAGES, SIDE = 4, 64


def named(paths: list[Path]) -> list:
    return [pytest.param(path, id=path.stem) for path in paths]


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Read a recipe in a folder that has its data in miniature."""
    monkeypatch.chdir(tmp_path)
    Path('configs').symlink_to(REPOSITORY / 'configs')

    def read(path: Path) -> Config:
        init_default_scope('mmdet')
        config = Config.fromfile(path)
        dataset, unlabeled = config.train_dataloader.dataset, config.distill.unlabeled
        images = _write_images(Path(dataset.data_root, dataset.data_prefix.img))
        _write_labeled(Path(dataset.data_root, dataset.ann_file), images)
        _write_images(Path(unlabeled.data_root, unlabeled.data_prefix.img))
        listed = Path(unlabeled.data_root, unlabeled.ann_file)
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text(json.dumps(dict(images=images)))
        checkpoint = Path('teacher.pth')
        checkpoint.touch()
        config.distill.teacher.checkpoint = str(checkpoint)
        # COCO has all classes; the miniature has three of them.
        dataset.setdefault('metainfo', dict(classes=CLASSES))
        return config

    return read


def _write_images(folder: Path) -> list[dict]:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(folder)))
    for number in range(IMAGES):
        pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        cv2.imwrite(str(folder / f'{number}.png'), pixels)
    return [
        dict(id=number, file_name=f'{number}.png', width=SIDE, height=SIDE)
        for number in range(IMAGES)
    ]


def _write_labeled(path: Path, images: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = [
        dict(
            id=len(CLASSES) * image['id'] + number,
            image_id=image['id'],
            category_id=number + 1,
            bbox=[4 + 8 * number, 8, 40, 36],
            area=40 * 36,
            iscrowd=0,
        )
        for image in images
        for number in range(len(CLASSES))
    ]
    categories = [dict(id=n + 1, name=name) for n, name in enumerate(CLASSES)]
    path.write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )


@pytest.mark.parametrize('path', named(CONFIGS))
def test_the_docstring_has_the_command(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))

    assert f'python tools/train.py {path.relative_to(REPOSITORY)}' in docstring
    assert 'Needs' in docstring


@pytest.mark.parametrize('path', named(CONFIGS))
def test_a_recipe_is_short_and_listed(path):
    table = README.partition('## Recipes')[2].partition('```')[0]

    assert len(path.read_text().splitlines()) <= 40
    assert f'`detection/{path.stem}`' in table


@pytest.mark.parametrize('path', named(RECIPES))
def test_both_stages_have_their_data_and_models(path, read):
    config = read(path)
    recipe = Recipe.of(config)
    stage = label_config(recipe)

    labeled, pseudo = student_config(recipe).train_dataloader.dataset.datasets
    unlabeled = DATASETS.build(stage.test_dataloader.dataset)
    with torch.device('meta'):
        teacher = MODELS.build(stage.model)
    views = stage.test_dataloader.dataset.views
    sizes = [next(s.scale for s in view if s.type == 'Resize') for view in views]
    assert isinstance(teacher, BoxDetector)
    assert type(teacher.module).__name__ == config.model.type
    assert (len(unlabeled), len(views)) == (IMAGES, 18)
    assert [size[1] / sizes[8][1] for size in sizes[::2]] == pytest.approx(
        [0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5]
    )
    assert pseudo.store == config.distill.store
    assert len(DATASETS.build(dict(labeled, pipeline=[]))) == IMAGES


@pytest.mark.parametrize(
    'name',
    [
        'faster-rcnn_r50_co-35_co-80',
        'rtmdet-s_co-115_un-120',
        'rtmdet-m_to_rtmdet-nano_person',
    ],
)
def test_a_family_labels_and_trains(name, read):
    config = read(FOLDER / f'{name}.py')
    _make_quick(config)

    stages.train(config)

    assert (Path(config.work_dir) / 'iter_2.pth').is_file()


THIN = dict(
    backbone=dict(base_channels=16),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(fc_out_channels=32)),
)
"""A quarter of the channels of Faster R-CNN, whose weights take long to write."""


def _make_quick(config: Config) -> None:
    """The recipe with one view, two steps on small images, and weights of its own."""
    # A student that is its own teacher.
    config.distill.teacher.pop('config', None)
    config.work_dir = 'work'
    config.model.backbone.init_cfg = None
    config.distill.update(
        views=dict(scales=(1.0,), flip=False),
        labeling=dict(batch_size=2, num_workers=0, score_floor=0.0),
        schedule=None,
    )
    if config.model.type == 'FasterRCNN':
        config.merge_from_dict(dict(model=THIN))
    text = repr(config.model.to_dict()).replace("'SyncBN'", "'BN'")
    config.model = ast.literal_eval(text)
    shrink_pipelines(config, SIDE)
    config.train_dataloader.update(
        batch_size=3, num_workers=0, persistent_workers=False
    )
    config.train_dataloader.dataset.filter_cfg = dict(min_size=1)
    config.train_cfg = dict(by_epoch=False, max_iters=2)
    config.param_scheduler = []
    config.custom_hooks = []
    config.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=2
    )
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(config.model))
    lively(model)
    classes = config.train_dataloader.dataset.metainfo.classes
    if len(classes) > 1:
        # COCO's 80, of which the labeled set has three.
        classes = CocoDataset.METAINFO['classes']
        known = [classes.index(name) for name in CLASSES]
        # Of 80 random classes the best boxes would be of others.
        for layer in _classifiers(model):
            layer.bias.data[known] += 5
    meta = dict(dataset_meta=dict(classes=tuple(classes)))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), 'teacher.pth')


def _classifiers(model: Any) -> list:
    """Layers that say which class a box is of."""
    if hasattr(model, 'roi_head'):
        return [model.roi_head.bbox_head.fc_cls]
    return list(model.bbox_head.rtm_cls)
