"""The last epochs of one-stage students, and attributes that change at an epoch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from mmdistill.datasets import SeededDataset
from mmdistill.engine.hooks.mode_switch_hook import SourceModeSwitchHook
from mmdistill.errors import ConfigError

EPOCHS = 10
ATTRIBUTES = {
    3: {'head.proxy': True, 'head.loss.weight': 5.0},
    6: {'head.proxy': False},
}


class Numbers(BaseDataset):
    """Samples that are their own number."""

    def load_data_list(self):
        return [dict(number=number) for number in range(3)]


class Mixing(Numbers):
    """A data set that mixes images, as MMDetection's."""

    dataset = Numbers(serialize_data=False)
    skipped = None

    def update_skip_type_keys(self, skip_type_keys):
        self.skipped = skip_type_keys


def runner(dataset=None, loop=EpochBasedTrainLoop):
    if dataset is None:
        sources = [
            Numbers(pipeline=[lambda _: 'first'], serialize_data=False)
            for _ in range(2)
        ]
        dataset = SeededDataset(ConcatDataset(sources))
    model = nn.Module()
    model.head = nn.Module()
    model.head.proxy = model.head.use_aux_loss = False
    model.head.loss = SimpleNamespace(weight=1.0)
    return SimpleNamespace(
        epoch=0,
        max_epochs=EPOCHS,
        model=model,
        train_loop=loop.__new__(loop),
        train_dataloader=SimpleNamespace(dataset=dataset),
    )


def last_hook():
    return SourceModeSwitchHook(
        2, [lambda _: 'last'], last_attributes={'head.use_aux_loss': True}
    )


@pytest.mark.parametrize('resumed_at', [0, 7, 9])
def test_the_last_epochs_have_their_pipeline_and_loss_in_every_source(resumed_at):
    run, hook = runner(), last_hook()
    hook.before_train(run)
    for run.epoch in range(resumed_at, EPOCHS):
        hook.before_train_epoch(run)
        # As MMPose's hook: at the epoch before the last two.
        switched = run.epoch >= 7
        dataset = run.train_dataloader.dataset
        assert [dataset[i] for i in range(6)] == ['last' if switched else 'first'] * 6
        assert run.model.head.use_aux_loss == switched


@pytest.mark.parametrize('resumed_at', [0, 3, 5, 6, 9])
def test_attributes_are_those_of_the_epoch_whenever_it_is_resumed(resumed_at):
    run, hook = runner(), SourceModeSwitchHook(epoch_attributes=ATTRIBUTES)
    hook.before_train(run)
    for run.epoch in range(resumed_at, EPOCHS):
        hook.before_train_epoch(run)
        head = run.model.head
        assert head.proxy == (3 <= run.epoch < 6)
        assert head.loss.weight == (5.0 if run.epoch >= 3 else 1.0)


def test_what_someone_else_sets_in_between_stays():
    run, hook = runner(), SourceModeSwitchHook(epoch_attributes=ATTRIBUTES)
    run.epoch = 4
    hook.before_train_epoch(run)
    run.model.head.loss.weight = 2.0
    run.epoch = 5
    hook.before_train_epoch(run)
    assert run.model.head.loss.weight == 2.0


def test_sets_that_mix_images_leave_transforms_out():
    mixing = [Mixing(serialize_data=False) for _ in range(2)]
    run = runner(SeededDataset(ConcatDataset(mixing)))
    hook = SourceModeSwitchHook(2, skip_type_keys=('Mosaic',))
    for run.epoch in (6, 7):
        hook.before_train_epoch(run)
        expected = None if run.epoch == 6 else ('Mosaic',)
        assert [each.skipped for each in mixing] == [expected] * 2


def test_a_training_of_iterations_is_refused():
    with pytest.raises(ConfigError, match=r'counts epochs, and .* IterBasedTrainLoop'):
        last_hook().before_train(runner(loop=IterBasedTrainLoop))


@pytest.mark.parametrize('name', ['head.use_l1', 'neck.x'])
def test_an_attribute_that_the_model_has_not_is_refused(name):
    hook = SourceModeSwitchHook(2, last_attributes={name: True})
    with pytest.raises(ConfigError, match=f'would set {name} of the model, and'):
        hook.before_train(runner())
