"""Detectors through all stages: labeled, counted, trained and resumed."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmdistill import stages
from mmdistill.config.recipe import Recipe
from mmdistill.datasets import SeededDataset
from mmdistill.plans import make_plan
from mmdistill.registry import DATASETS, HOOKS
from mmdistill.selection.selection import read_selection
from mmdistill.stages.pipeline_switch import switch_modes
from mmdistill.store import LabelStore
from mmdistill.store.manifest import BOX_LABELS
from tests.helpers.box_recipes import IDS, box_recipe
from tests.helpers.box_stores import write_box_store


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Config:
    """A recipe that has run: four views, two epochs of the student."""
    config = box_recipe(tmp_path_factory.mktemp('retinanet'), 'retinanet')
    config.train_cfg.max_epochs = 2
    stages.train(copy.deepcopy(config))
    return config


def store_of(config: Config) -> LabelStore:
    return LabelStore(config.distill.store, BOX_LABELS)


def weights(folder: str | Path, epoch: int) -> dict:
    path = Path(folder, f'epoch_{epoch}.pth')
    return torch.load(path, weights_only=False)['state_dict']


def test_the_store_holds_boxes_that_the_views_agree_on_or_not(trained):
    store = store_of(trained)

    made = store.manifest['detector']
    candidates = store.read().candidates
    assert made['views'] == dict(scales=[1.0, 1.5], flip=True, vote_thr=0.9)
    assert made['categories'] == dict(square=7, bar=3)
    assert set(candidates.category_ids.tolist()) == set(IDS)
    assert len(np.unique(candidates.bbox_agreement)) > 2


def test_each_category_is_matched_to_the_labeled_boxes(trained):
    selection = read_selection(store_of(trained))

    content = json.loads(
        Path(trained.train_dataloader.dataset.data_root, 'labeled.json').read_text()
    )
    ids = [each['category_id'] for each in content['annotations']]
    assert selection.labeled.instances == len(ids)
    assert selection.labeled.categories == tuple(
        (number, ids.count(number)) for number in sorted(IDS)
    )
    assert [t.category_id for t in selection.thresholds] == sorted(IDS)
    # A random teacher's scores are as different as its boxes.
    wanted = [len(content['images']) / 5 * p.kept for p in selection.parts]
    assert wanted == pytest.approx([c for _, c in selection.labeled.categories], abs=1)


def test_the_student_is_a_plain_checkpoint_of_mmdetection(trained):
    student = weights(trained.work_dir, 2)
    teacher = torch.load(trained.distill.teacher.checkpoint, weights_only=False)

    plain = torch.load(Path(trained.work_dir, 'plain_model.pth'), weights_only=True)
    assert student.keys() == teacher['state_dict'].keys()
    assert list(plain['meta']['dataset_meta']['classes']) == ['square', 'bar']


def test_a_training_that_was_stopped_ends_in_the_same_weights(
    trained, tmp_path, logged
):
    resumed = copy.deepcopy(trained)
    resumed.update(work_dir=str(tmp_path), resume=True, load_from=None)
    first = tmp_path / 'epoch_1.pth'
    first.write_bytes(Path(trained.work_dir, 'epoch_1.pth').read_bytes())
    (tmp_path / 'last_checkpoint').write_text(str(first))

    stages.train(resumed)

    before, end = (weights(trained.work_dir, epoch) for epoch in (1, 2))
    again = weights(tmp_path, 2)
    assert all(torch.equal(end[key], again[key]) for key in end)
    assert any(not torch.equal(before[key], end[key]) for key in end)
    # What is finished is only compared.
    assert any('labeling 0 of 5 images' in line for line in logged)
    assert any('the selection stays' in line for line in logged)


def test_labels_are_selected_anew_without_the_teacher(trained, logged):
    recipe = Recipe.of(copy.deepcopy(trained))

    selection = stages.select(recipe, dict(criterion='agreement'), dry_run=True)

    assert selection.options.compared == 'view agreement'
    assert selection.unlabeled.kept > 0
    assert read_selection(store_of(trained)).options.criterion == 'score'


def test_labels_leave_as_coco_json_with_the_labeled_categories(trained, tmp_path):
    path = tmp_path / 'labels.json'

    stages.export_coco(Recipe.of(copy.deepcopy(trained)), str(path))

    content = json.loads(path.read_text())
    kept = read_selection(store_of(trained)).unlabeled.kept
    names = {each['id']: each['name'] for each in content['categories']}
    assert names == {7: 'square', 3: 'bar'}
    assert len(content['annotations']) == kept


def test_the_plan_counts_images_and_views(trained):
    plan = make_plan(copy.deepcopy(trained))

    rows = dict(plan.rows)
    assert plan.missing == []
    assert re.fullmatch(r'\d+ boxes on 6 images of 2 categories', rows['labeled'])
    assert rows['unlabeled'] == '5 images'
    assert rows['forward passes'] == '4 views of each image: 20'
    assert 'boxes, matched over all labeled images' in rows['pseudo-labels']
    assert rows['schedule'].startswith('2 epochs')


@pytest.fixture(scope='module')
def mixed(tmp_path_factory) -> SeededDataset:
    """The training set of a YOLOX student, whose labels were written by hand."""
    config = box_recipe(tmp_path_factory.mktemp('yolox'), 'yolox', is_taught=False)
    write_box_store(Path(config.distill.store), images=True)
    stages.select(Recipe.of(config))
    made = stages.training_config(config)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return DATASETS.build(made.train_dataloader.dataset)


def test_yolox_mixes_each_source_within_itself(mixed):
    labeled, pseudo = mixed.datasets

    kinds = [type(each.dataset).__name__ for each in (labeled, pseudo)]
    assert kinds == ['CocoDataset', 'PseudoBoxDataset']
    samples = [mixed[n]['data_samples'] for n in range(len(mixed))]
    tags = [sample.get('pseudo', False) for sample in samples]
    assert tags == [False] * len(labeled) + [True] * len(pseudo)
    # A mosaic of several images has boxes of them all.
    assert max(len(sample.gt_instances) for sample in samples) > 3


def with_hooks(hook):
    """The hooks that a student has in the place of the host's."""
    loader, length = dict(dataset=dict()), dict(max_epochs=1)
    config = Config(
        dict(custom_hooks=[hook], train_cfg=length, train_dataloader=loader)
    )
    switch_modes(config)
    return config.custom_hooks


def test_the_hook_of_yolox_leaves_out_the_mixing_of_all_sources(mixed):
    model = SimpleNamespace(bbox_head=SimpleNamespace(use_l1=False))
    runner = SimpleNamespace(
        epoch=0,
        max_epochs=1,
        train_dataloader=SimpleNamespace(dataset=mixed),
        model=model,
        logger=MMLogger.get_current_instance(),
    )

    (hook,) = with_hooks(dict(type='mmdet.YOLOXModeSwitchHook'))
    HOOKS.build(hook).before_train_epoch(runner)

    skipped = [each._skip_type_keys for each in mixed.datasets]
    assert skipped == [('Mosaic', 'RandomAffine', 'MixUp')] * 2
    assert model.bbox_head.use_l1
