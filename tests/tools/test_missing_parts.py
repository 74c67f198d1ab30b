"""Configs without one of the usual parts: every tool works, or says what is missing."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from mmdistill import stages
from mmdistill.config.text import TextConfig
from tests.helpers.host_sets import (
    pipeline,
    recipe_of,
    write_set,
    write_teacher,
    write_unlabeled,
)

COCO = dict(from_file='configs/_base_/datasets/coco.py')
VALIDATION = ('val_dataloader', 'val_cfg', 'val_evaluator')
TESTS = ('test_dataloader', 'test_cfg', 'test_evaluator')
TRAINING = ('train_dataloader', 'train_cfg', 'optim_wrapper')
ABSENT = object()
# What is taken out or changed, and the tools that may not work then.
VARIANTS = {
    'nothing': ({}, {}),
    'no validation set': (dict(val_dataloader=None), {}),
    'no validation': (dict.fromkeys(VALIDATION), {}),
    'no validation at all': (dict.fromkeys(VALIDATION, ABSENT), {}),
    'no test set': (
        dict(test_dataloader=None),
        dict(test='no test_dataloader', tta='no test_dataloader'),
    ),
    'no test at all': (
        dict.fromkeys(TESTS, ABSENT),
        dict(
            test='no test_dataloader and no test_cfg and no test_evaluator',
            tta='no test_dataloader',
        ),
    ),
    'no metric of a test': (
        dict(test_evaluator=None),
        dict(test='no test_evaluator', tta='no test_evaluator'),
    ),
    'neither set': (
        {**dict.fromkeys(VALIDATION, ABSENT), **dict.fromkeys(TESTS, None)},
        dict(
            plan='neither test_dataloader nor val_dataloader',
            label='neither test_dataloader nor val_dataloader',
            train='neither test_dataloader nor val_dataloader',
            test='no test_dataloader',
            tta='no test_dataloader',
        ),
    ),
    'no metric of the validation': (
        dict(val_evaluator=None),
        dict(plan='no val_evaluator; its', train='no val_evaluator; its'),
    ),
    'no training': (
        dict.fromkeys(TRAINING, ABSENT),
        dict(train='no train_dataloader and no train_cfg and no optim_wrapper'),
    ),
    'no training set': (
        dict(train_dataloader=None),
        dict(train='has no train_dataloader; its training'),
    ),
    'no optimizer': (
        dict(optim_wrapper=None),
        dict(plan='no optim_wrapper; its', train='no optim_wrapper; its'),
    ),
    'no length': (
        dict(train_cfg=dict(by_epoch=True)),
        dict(plan='max_iters or max_epochs', train='max_iters or max_epochs'),
    ),
    'no hooks': (dict(custom_hooks=None, default_hooks=None), {}),
    'no hooks at all': (dict(custom_hooks=ABSENT, default_hooks=ABSENT), {}),
    'one scheduler': (
        dict(param_scheduler=dict(type='LinearLR', begin=0, end=2, by_epoch=False)),
        {},
    ),
    'no scheduler': (dict(param_scheduler=None), {}),
    'epochs': (dict(train_cfg=dict(by_epoch=True, max_epochs=1)), {}),
    'no work folder': (dict(work_dir=ABSENT), {}),
    'no model': (
        dict(model=None),
        dict.fromkeys(('plan', 'label', 'train', 'test', 'tta'), 'no model'),
    ),
}
TOOLS = {
    'plan': ('plan',),
    'label': ('label',),
    'select': ('select_labels', '--dry-run'),
    'report': ('report', '{labels}', '--config'),
    'draw': ('draw_labels', '--out', 'x.png'),
    'train': ('train',),
    'test': ('test', '{checkpoint}'),
    'tta': ('test', '{checkpoint}', '--tta'),
}


@pytest.fixture(scope='module')
def workshop(tmp_path_factory):
    """A folder with a recipe of which every part is there, and with its labels."""
    tmp_path = tmp_path_factory.mktemp('parts')
    dataset = dict(write_set('CocoDataset', tmp_path / 'set'))
    valid = dict(
        write_set('CocoDataset', tmp_path / 'val'),
        pipeline=pipeline(training=False),
        test_mode=True,
    )
    loader = dict(
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=valid,
    )
    write_unlabeled(tmp_path / 'unlabeled')
    config = recipe_of(
        dict(dataset, pipeline=pipeline(training=True)),
        tmp_path,
        COCO,
        val_dataloader=loader,
        val_cfg=dict(),
        val_evaluator=dict(type='PCKAccuracy', thr=0.1),
        test_dataloader=loader,
    )
    config.distill.labeled = dataset
    write_teacher(config)
    stages.label(config)
    return tmp_path, config


@pytest.fixture
def recipe(workshop, tmp_path, monkeypatch):
    """That recipe; what it trains goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(workshop[1])
    config.work_dir = str(tmp_path / 'work')
    return config


def without(config, changes, path):
    for key, value in changes.items():
        if value is ABSENT:
            config.pop(key, None)
        else:
            config[key] = value
    TextConfig.of(config).dump(path)
    return str(path)


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_tool_works_or_says_what_is_missing(
    recipe, tool, tmp_path, capsys, variant
):
    changes, refused = VARIANTS[variant]
    path = without(recipe, changes, tmp_path / 'recipe.py')
    places = dict(
        labels=recipe.distill.store, checkpoint=recipe.distill.teacher.checkpoint
    )

    looks = {'model', 'train_dataloader', *VALIDATION, *TESTS} & set(changes)
    for name, (script, *arguments) in TOOLS.items():
        if name not in ('plan', 'label', 'train') and not looks and changes:
            continue  # It does not look at what is missing.
        given = [argument.format(**places) for argument in arguments]
        given.insert(given.index('--config') + 1 if '--config' in given else 0, path)
        capsys.readouterr()
        code = tool(script, *given)
        said = capsys.readouterr().err.strip().splitlines()[-1:]
        if name in refused:
            assert code == 2, name
            assert refused[name] in said[0], name
        else:
            assert code == 0, (name, said)


def test_what_is_left_over_of_a_missing_validation_is_said(
    recipe, tool, tmp_path, capsys
):
    path = without(recipe, dict(val_dataloader=None), tmp_path / 'recipe.py')

    assert tool('train', path) == 0

    said = ' '.join(capsys.readouterr())
    assert (
        'there is no validation: the config has no val_dataloader, so val_cfg and '
        'val_evaluator of it do not count'
    ) in said


def test_what_is_trained_without_validation_is_trained(recipe, tool, tmp_path):
    recipe.default_hooks.checkpoint.update(save_best='PCK', rule='greater')
    path = without(recipe, dict(val_dataloader=None), tmp_path / 'recipe.py')

    assert tool('train', path) == 0

    assert (tmp_path / 'work/iter_2.pth').is_file()


def test_labels_of_a_config_without_training_are_those_of_the_one_with_it(
    recipe, tool, tmp_path
):
    labels = Path(recipe.distill.store)
    first = (labels / 'manifest.json').read_text()
    selected = (labels / 'selection.json').read_text()
    changes = dict.fromkeys(TRAINING, ABSENT)

    recipe.distill.store = str(tmp_path / 'again')
    assert tool('label', without(recipe, changes, tmp_path / 'recipe.py')) == 0

    again = json.loads((tmp_path / 'again/manifest.json').read_text())
    assert again == json.loads(first)
    assert (tmp_path / 'again/selection.json').read_text() == selected
