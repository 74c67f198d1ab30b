"""Tests of another pipeline for the last epochs."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.registry import init_default_scope
from mmpose.datasets import CombinedDataset

from mmdistill.datasets import SeededDataset
from mmdistill.engine.hooks.pipeline_switch_hook import SourcePipelineSwitchHook
from tests.helpers.host_sets import write_set


class Numbers(BaseDataset):
    """Samples that are their own number."""

    def load_data_list(self):
        return [dict(number=number) for number in range(3)]


@pytest.fixture
def runner():
    dataset = ConcatDataset([Numbers(pipeline=[lambda _: 'first']) for _ in range(2)])
    return SimpleNamespace(epoch=0, train_dataloader=SimpleNamespace(dataset=dataset))


def seen(runner):
    dataset = runner.train_dataloader.dataset
    return [dataset[number] for number in range(len(dataset))]


@pytest.mark.parametrize('resumed_at', [0, 2, 4])
def test_every_source_switches_at_the_epoch(runner, resumed_at):
    hook = SourcePipelineSwitchHook(2, [lambda _: 'last'])
    for runner.epoch in range(resumed_at, 6):
        hook.before_train_epoch(runner)
        assert seen(runner) == ['last' if runner.epoch >= 2 else 'first'] * 6


def test_a_training_set_of_one_source_switches_too(runner):
    runner.train_dataloader.dataset = Numbers(pipeline=[lambda _: 'first'])
    SourcePipelineSwitchHook(0, [lambda _: 'last']).before_train_epoch(runner)
    assert seen(runner) == ['last'] * 3


def test_of_a_set_made_of_several_its_own_pipeline_switches(tmp_path):
    convert = dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 6)])
    parts = [
        dict(write_set('CocoDataset', tmp_path / 'coco'), pipeline=[]),
        dict(write_set('AicDataset', tmp_path / 'aic'), pipeline=[convert]),
    ]
    metainfo = dict(from_file='configs/_base_/datasets/coco.py')
    init_default_scope('mmpose')
    combined = CombinedDataset(metainfo, parts, pipeline=[lambda _: 'first'])
    repeated = RepeatDataset(Numbers(pipeline=[lambda _: 'first']), times=2)
    dataset = SimpleNamespace(datasets=[combined, repeated])
    runner = SimpleNamespace(epoch=1, train_dataloader=SimpleNamespace(dataset=dataset))

    SourcePipelineSwitchHook(1, [lambda sample: sample]).before_train_epoch(runner)

    infos = [combined[number] for number in range(len(combined))]
    assert [info['keypoints'].shape for info in infos] == [(1, 17, 2)] * len(infos)
    assert repeated[0]['number'] == 0


def test_a_mix_that_is_one_combined_set_switches_as_a_whole(tmp_path):
    part = dict(write_set('CocoDataset', tmp_path), pipeline=[])
    metainfo = dict(from_file='configs/_base_/datasets/coco.py')
    combined = CombinedDataset(metainfo, [part, part], pipeline=[lambda _: 'first'])
    runner = SimpleNamespace(
        epoch=1,
        train_dataloader=SimpleNamespace(dataset=SeededDataset(combined)),
    )

    SourcePipelineSwitchHook(1, [lambda _: 'last']).before_train_epoch(runner)

    assert [combined[number] for number in range(6)] == ['last'] * 6
    assert isinstance(combined.datasets[0][0], dict)
