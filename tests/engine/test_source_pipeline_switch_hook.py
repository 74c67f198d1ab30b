"""Tests of another pipeline for the last epochs."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset

from mmdistill.engine.source_pipeline_switch_hook import SourcePipelineSwitchHook


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
