"""From labels to an answer with a detector, by the real tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdistill.config.recipe import Recipe
from mmdistill.pipeline import Distillation, distill
from tests.helpers.box_recipes import box_recipe, write_boxes
from tests.helpers.distilling import RealTools
from tests.helpers.workshop import call_tool


@pytest.fixture(scope='module')
def recipe(tmp_path_factory) -> Path:
    """The file of a recipe with a validation set of twelve images."""
    root = tmp_path_factory.mktemp('detector')
    config = box_recipe(root, 'retinanet')
    write_boxes(root, 'val', 12, seed=2)
    dataset = config.test_dataloader.dataset
    dataset.update(ann_file='val.json', data_prefix=dict(img='val/'))
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    config.val_dataloader = config.test_dataloader
    metric = dict(type='CocoMetric', metric='bbox', ann_file=str(root / 'val.json'))
    config.val_evaluator = config.test_evaluator = metric
    config.val_cfg = dict(type='ValLoop')
    config.distill.worth_images = 0
    # A student of one epoch is sure of nothing.
    config.model.test_cfg.score_thr = 0.0
    config.dump(root / 'recipe.py')
    return root / 'recipe.py'


def work_of(recipe: Path) -> Distillation:
    return Distillation(Recipe.of(Config.fromfile(recipe)), recipe)


def test_the_answer_compares_detectors_image_by_image(recipe, monkeypatch):
    monkeypatch.chdir(recipe.parent)
    tools = RealTools()

    answer = distill(work_of(recipe), tools, estimate=lambda work, tasks: {})

    names = [Path(command[0]).stem for command in tools.called]
    assert names == ['label', 'audit_labels', 'train', 'test', 'test', 'report']
    assert 'AP of an image' in answer
    assert 'on the 12 validation images' in answer
    assert 'IoU below 0.5' in answer
    assert 'distill.noise' not in answer
    assert 'distill.rounds' not in answer
    whole = recipe.parent / 'work-distill'
    results = json.loads((whole / 'teacher/images.json').read_text())
    assert len(results['ap']) == 12

    again = RealTools()
    assert distill(work_of(recipe), again, estimate=lambda work, tasks: {}) == answer
    assert again.called == []


def test_merged_views_are_evaluated(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(recipe.parent)
    out, images = tmp_path / 'fused.json', tmp_path / 'images.json'

    words = [str(recipe), 'teacher.pth', '--work-dir', str(tmp_path), '--tta']
    code = call_tool('test', *words, '--out', str(out), '--per-image', str(images))

    assert code == 0
    metrics = json.loads(out.read_text())
    assert 0 <= metrics['coco/bbox_mAP'] < 0.5
    assert len(json.loads(images.read_text())['ap']) == 12


def test_views_of_several_detectors_are_not_merged(recipe, monkeypatch, capsys):
    monkeypatch.chdir(recipe.parent)

    code = call_tool('test', str(recipe), 'teacher.pth', 'teacher.pth', '--tta')

    assert code != 0
    assert '--tta takes one checkpoint, got 2' in capsys.readouterr().err
