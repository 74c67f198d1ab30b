"""Data sets, metrics and their files of an evaluation, before the labeling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, METRICS

from mmdistill.config.files import read_config
from mmdistill.engine.dry_build import (
    check_test_parts,
    check_training_parts,
    check_validation,
)
from mmdistill.engine.dry_evaluation import check_metric_files
from mmdistill.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(toy_root, tmp_path, monkeypatch) -> Config:
    """The toy student's config beside its data."""
    monkeypatch.chdir(tmp_path)
    Path('data').mkdir()
    Path('data/toy').symlink_to(toy_root)
    init_default_scope('mmpose')
    return read_config(ROOT / 'configs/distill/toy/student.py')


def nme(**settings) -> dict:
    return dict(type='NME', norm_mode='keypoint_distance', **settings)


EVALUATORS = {
    'no indices': (nme(), r'\(NME\) needs keypoint_indices, .* of coco .*, got None$'),
    'one index': (nme(keypoint_indices=[1]), r'needs keypoint_indices, .* got \[1\]$'),
    'no such keypoint': (nme(keypoint_indices=[0, 17]), r'of the 17 keypoints of coco'),
    'no such mode': (dict(type='NME', norm_mode='x'), r'NME cannot be built: .*norm_m'),
    'no such item': (
        dict(type='PCKAccuracy', norm_item='x'),
        r'PCKAccuracy cannot be built: .*item x is not supported',
    ),
    'no pickle': (
        dict(type='DumpResults', out_file_path='a.txt'),
        r'DumpResults cannot be built: .*pkl',
    ),
    'of several sets': (
        dict(
            type='MultiDatasetEvaluator',
            metrics=[dict(type='Nope')],
            datasets=[dict(type='CocoDataset')],
        ),
        r'evaluator\.metrics\.0: Nope is not registered',
    ),
    'unregistered': (dict(type='Nope'), r'evaluator: Nope is not registered'),
    'without a type': (dict(thr=1), r'evaluator must state its type, got'),
}


@pytest.mark.parametrize('case', EVALUATORS)
@pytest.mark.parametrize('loader', ['val', 'test'])
def test_a_metric_that_cannot_count_is_named(config, case, loader):
    evaluator, sentence = EVALUATORS[case]
    config[f'{loader}_evaluator'] = evaluator
    check = check_validation if loader == 'val' else check_test_parts

    with pytest.raises(ConfigError, match=f'^{loader}_.*{sentence}'):
        check(config)


@pytest.mark.parametrize(
    'metric',
    [nme(keypoint_indices=[1, 2]), dict(type='NME', **{'norm_mode': 'use_norm_item'})],
)
def test_keypoints_that_are_named_normalize(config, metric):
    if metric['norm_mode'] == 'use_norm_item':
        metric['norm_item'] = 'bbox_size'
    config.val_evaluator = metric

    check_validation(config)


def test_the_host_knows_the_keypoints_of_its_own_face_sets(config):
    config.val_dataloader.dataset = dict(
        type='Face300WDataset', ann_file='x.json', pipeline=[dict(type='LoadImage')]
    )
    config.val_evaluator = nme()

    check_validation(config)


@pytest.mark.parametrize('loader', ['val', 'test'])
def test_an_empty_pipeline_is_named(config, loader):
    config[f'{loader}_dataloader'].dataset.pipeline = []
    check = check_validation if loader == 'val' else check_test_parts

    with pytest.raises(
        ConfigError, match=rf'^{loader}_dataloader\.dataset has an empty pipeline'
    ):
        check(config)


@pytest.mark.parametrize('loader', ['train', 'val', 'test'])
def test_categories_that_are_unknown_cannot_be_balanced(config, loader):
    config.test_dataloader = config.val_dataloader
    inner = config[f'{loader}_dataloader'].dataset
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.5, dataset=inner)
    config[f'{loader}_dataloader'] = dict(batch_size=1, dataset=balanced)
    check = check_test_parts if loader == 'test' else check_training_parts

    with pytest.raises(
        ConfigError, match=r'^ClassBalancedDataset cannot balance .*Dataset, whose'
    ):
        check(config)
    # The host fails on it, too: the sentence is right.
    small = dict(balanced, dataset=dict(config.val_dataloader.dataset))
    if loader == 'val':
        small['dataset'] = inner
        with pytest.raises(NotImplementedError):
            DATASETS.build(small)


@pytest.mark.parametrize('loader', ['val', 'test'])
def test_annotations_of_a_metric_that_do_not_exist_are_named(config, loader):
    config[f'{loader}_evaluator'] = dict(type='CocoMetric', ann_file='none.json')

    with pytest.raises(
        DataError,
        match=rf'^the ann_file none\.json of {loader}_evaluator \(CocoMetric\) does '
        r'not exist; name the annotations .*, data/toy/annotations/val\.json$',
    ):
        check_metric_files(config, loader)


def test_a_test_names_them_as_well(config):
    config.test_evaluator = dict(type='CocoMetric', ann_file='none.json')

    with pytest.raises(DataError, match=r'none\.json of test_evaluator'):
        check_test_parts(config)


def test_annotations_of_another_set_are_refused(config):
    path = 'data/toy/annotations/labeled.json'
    config.val_evaluator = [dict(type='CocoMetric', ann_file=path)]

    # Images of the toy sets are all called 000001.jpg and so on.
    with pytest.raises(
        DataError,
        match=rf'^val_evaluator\.0 \(CocoMetric\) counts by {path}, whose images are '
        r'called like those of the validation set data/toy/annotations/val\.json and',
    ):
        check_metric_files(config, 'val')


@pytest.mark.parametrize('change', [dict(id=77), dict(file_name='other.jpg')])
def test_annotations_of_other_images_are_refused(config, change):
    content = json.loads(Path('data/toy/annotations/val.json').read_text())
    content['images'][0].update(change)
    Path('copy.json').write_text(json.dumps(content))
    config.val_evaluator = [dict(type='CocoMetric', ann_file='copy.json')]

    with pytest.raises(
        DataError,
        match=r'^val_evaluator\.0 \(CocoMetric\) counts by copy\.json, which lacks 1 '
        r'of the \d images .*, the first is 000001\.jpg; set its ann_file to data/toy/',
    ):
        check_metric_files(config, 'val')


def test_a_copy_of_the_annotations_counts(config):
    content = json.loads(Path('data/toy/annotations/val.json').read_text())
    Path('copy.json').write_text(json.dumps(content, indent=1))
    config.val_evaluator = dict(type='CocoMetric', ann_file='copy.json')

    check_metric_files(config, 'val')
    METRICS.build(config.val_evaluator)


def test_annotations_that_are_no_json_are_one_sentence(config):
    Path('copy.json').write_text('{')
    config.val_evaluator = dict(type='CocoMetric', ann_file='copy.json')

    with pytest.raises(DataError, match=r'copy\.json'):
        check_metric_files(config, 'val')


def test_the_recipe_passes(config):
    check_training_parts(config)
    check_test_parts(config)
    check_validation(config)
