"""Which batches a recipe has, by its loader and by `distill.mixing`."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmdistill.config.recipe import Recipe
from mmdistill.errors import UserError
from mmdistill.stages.train_config import student_config
from tests.helpers.host_sets import recipe_of, write_set
from tests.helpers.students import CODEC, pipeline, write_labels

COCO = dict(from_file='configs/_base_/datasets/coco.py')
OURS = 'mmdistill.MixedRatioBatchSampler'


def config_of(mixing=None, **loader):
    dataset = dict(type='CocoDataset', ann_file='a.json', metainfo=COCO, pipeline=[])
    loader = dict(batch_size=10, dataset=dataset, **loader)
    section = dict(teacher=dict(checkpoint='t.pth'), unlabeled={}, store='labels')
    if mixing is not None:
        section['mixing'] = mixing
    return Config(dict(train_dataloader=loader, distill=section))


def batches_of(*arguments, **loader):
    return student_config(Recipe.of(config_of(*arguments, **loader))).train_dataloader


@pytest.mark.parametrize(
    ('mixing', 'expected'),
    [
        (None, {}),
        (dict(labeled_share=0.3), dict(labeled_share=0.3)),
        (dict(num_batches=7), dict(num_batches=7)),
        # A recipe's base states a share; the ratio decides it too.
        (
            dict(labeled_share=0.6, source_ratio=(1, 4)),
            dict(source_ratio=(1, 4)),
        ),
    ],
)
def test_what_mixing_says_is_what_the_sampler_gets(mixing, expected):
    assert batches_of(mixing).batch_sampler == dict(type=OURS, **expected)


@pytest.mark.parametrize(
    'stated',
    [
        dict(type=OURS, labeled_share=0.2, num_batches=3),
        dict(type='MixedRatioBatchSampler', source_ratio=[2, 8]),
    ],
)
def test_a_sampler_of_ours_stays_as_it_is_stated(stated, logged):
    mixing = dict(labeled_share=0.6)

    found = batches_of(mixing, batch_sampler=stated).batch_sampler

    assert found == dict(stated, type=OURS) | dict(type=stated['type'])
    assert 'does not count there: labeled_share=0.6' in logged[0]


def test_a_sampler_of_ours_gets_what_it_does_not_state(logged):
    mixing = dict(labeled_share=0.3, num_batches=4)

    found = batches_of(mixing, batch_sampler=dict(type=OURS)).batch_sampler

    assert found == dict(type=OURS, labeled_share=0.3, num_batches=4)
    assert logged == []


def test_another_batch_sampler_is_refused_by_name():
    with pytest.raises(
        UserError, match='batch_sampler AspectRatioBatchSampler knows nothing of'
    ):
        batches_of(batch_sampler=dict(type='AspectRatioBatchSampler'))


@pytest.mark.parametrize(
    ('mixing', 'sentence'),
    [
        (dict(num_batches=0), 'num_batches must be a whole number of at least 1'),
        (dict(num_batches=2.5), 'num_batches must be a whole number'),
        (dict(source_ratio=3), 'source_ratio must be a list, got 3'),
        (dict(source_ratio=(1, 0)), 'source_ratio must be a number above 0, got 0'),
    ],
)
def test_values_are_checked_before_anything_runs(mixing, sentence):
    with pytest.raises(UserError, match=sentence):
        Recipe.of(config_of(mixing))


@pytest.mark.parametrize(
    ('ratio', 'sentence'),
    [
        ((1, 2, 3), r'a part for each of the 2 sources, .* got \[1, 2, 3\]'),
        ((1000, 1), 'leaves .* of 10 slots'),
    ],
)
def test_a_ratio_that_does_not_fit_is_refused_before_the_labeling(ratio, sentence):
    with pytest.raises(UserError, match=sentence):
        batches_of(dict(source_ratio=ratio))


@pytest.mark.parametrize('key', ['num_batches', 'source_ratio'])
def test_a_stated_mix_states_its_batches_too(key):
    config = config_of({key: 3 if key == 'num_batches' else (1, 1)})
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store='labels')
    both = [config.train_dataloader.dataset, pseudo]
    config.train_dataloader.dataset = dict(type='ConcatDataset', datasets=both)

    with pytest.raises(UserError, match=f'mixing.{key} .* give it to the batch_sampl'):
        student_config(Recipe.of(config))


@pytest.mark.parametrize(
    ('loader', 'line'),
    [
        (dict(sampler=dict(type='DefaultSampler', shuffle=False)), 'DefaultSampler'),
        (dict(sampler=dict(type='WeightedSampler')), 'WeightedSampler'),
        (dict(drop_last=True), 'drop_last does not count'),
        (dict(shuffle=True), 'shuffle does not count'),
    ],
)
def test_what_does_not_count_is_said(loader, line, logged):
    batches_of(**loader)

    assert [line in text for text in logged] == [True]


@pytest.mark.parametrize('kind', ['DefaultSampler', 'InfiniteSampler'])
def test_a_sampler_that_shuffles_is_not_talked_about(kind, logged):
    loader = batches_of(sampler=dict(type=kind, shuffle=True))

    assert (loader.sampler.type, logged) == (kind, [])


def test_a_sampler_of_several_sources_is_refused():
    sampler = dict(type='MultiSourceSampler', batch_size=10, source_ratio=[1, 1])
    with pytest.raises(UserError, match=r'distill\.mixing\.source_ratio'):
        batches_of(sampler=sampler)


def test_batches_of_an_epoch_that_the_loader_states_are_the_sampler_s():
    loader = batches_of(num_batch_per_epoch=6)

    assert loader.batch_sampler.num_batches == 6
    assert 'num_batch_per_epoch' not in loader


@pytest.mark.parametrize(
    'loader',
    [
        {},
        dict(sampler=dict(type='DefaultSampler', shuffle=False), drop_last=True),
        dict(num_batch_per_epoch=3),
        dict(batch_sampler=dict(type=OURS, num_batches=3), shuffle=True),
    ],
)
def test_the_host_builds_the_loader(tmp_path, request, loader):
    dataset = dict(write_set('CocoDataset', tmp_path / 'set'), pipeline=pipeline(CODEC))
    config = recipe_of(dataset, tmp_path, COCO)
    store = write_labels(tmp_path / 'pseudo', request.getfixturevalue)
    config.distill.store = str(store.root)
    config.train_dataloader.pop('sampler')
    config.train_dataloader.update(copy.deepcopy(loader))

    with DefaultScope.overwrite_default_scope('mmpose'):
        built = Runner.build_dataloader(
            student_config(Recipe.of(config)).train_dataloader, seed=0
        )
        batches = list(built)

    assert len(batches) == 3
    assert all(len(batch['data_samples']) == 5 for batch in batches)
