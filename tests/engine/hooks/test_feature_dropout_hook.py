"""Channels are dropped in training steps, for the rows that the noise is for."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpose.models import TopdownPoseEstimator
from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample
from torch import nn

from mmdistill.engine.hooks.feature_dropout_hook import FeatureDropoutHook
from mmdistill.errors import UserError

LABELED, PSEUDO, CLEAN = {}, dict(pseudo=True), dict(pseudo=True, clean=True)
KINDS = (LABELED, PSEUDO, CLEAN, PSEUDO)
SHAPES = ((4, 8, 6, 5), (4, 16, 3, 3))


@MODELS.register_module(force=True)
class Maps(BaseModule):
    """Backbone whose output is ones, nested as some backbones nest theirs."""

    def __init__(self, shapes=SHAPES, nested=False):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.shapes, self.nested = shapes, nested

    def forward(self, inputs):
        maps = tuple(torch.ones(shape) * self.scale for shape in self.shapes)
        return [list(maps)] if self.nested else maps


def estimator(neck=None, **backbone):
    init_default_scope('mmpose')
    head = dict(type='RegressionHead', in_channels=8, num_joints=2)
    backbone = dict(type='Maps', **backbone)
    return TopdownPoseEstimator(backbone=backbone, neck=neck, head=head)


def runner_of(model, iteration=0, seed=3):
    return SimpleNamespace(model=model, iter=iteration, seed=seed)


def batch(kinds=KINDS):
    return dict(data_samples=[PoseDataSample(metainfo=dict(kind)) for kind in kinds])


def features(hook, model, iteration=0, kinds=KINDS, seed=3):
    """The features of a training step."""
    runner = runner_of(model, iteration, seed)
    hook.before_train_iter(runner, 0, batch(kinds))
    found = model.train().extract_feat(torch.zeros(4, 3, 8, 8))
    hook.after_train_iter(runner, 0)
    return found


def started(model, rate=0.5, **settings):
    hook = FeatureDropoutHook(rate, **settings)
    hook.before_train(runner_of(model))
    return hook


def changed_rows(maps):
    return [bool((row != 1).any()) for row in maps]


@pytest.mark.parametrize(
    ('sources', 'rows'),
    [('pseudo', [False, True, False, True]), ('all', [True, True, False, True])],
)
def test_rows_of_the_sources_lose_channels_and_others_nothing(sources, rows):
    model = estimator()
    hook = started(model, sources=sources)
    for maps in features(hook, model):
        assert changed_rows(maps) == rows
        # Whole channels: each is 0, or scaled for those that are.
        assert set(maps[1].unique().tolist()) == {0.0, 2.0}
        assert torch.equal(maps.amax((2, 3)), maps.amin((2, 3)))


def test_nothing_is_dropped_outside_of_a_training_step():
    model = estimator()
    hook = started(model, sources='all')
    ones = [torch.ones(shape) for shape in SHAPES]
    inputs = torch.zeros(4, 3, 8, 8)

    assert all(map(torch.equal, model.train().extract_feat(inputs), ones))
    features(hook, model)
    assert all(map(torch.equal, model.train().extract_feat(inputs), ones))
    assert all(map(torch.equal, model.eval().extract_feat(inputs), ones))
    hook.before_train_iter(runner_of(model), 0, batch())
    assert all(map(torch.equal, model.eval().extract_feat(inputs), ones))


def test_a_batch_of_labeled_samples_is_untouched():
    model = estimator()
    hook = started(model)
    for maps in features(hook, model, kinds=(LABELED,) * 4):
        assert changed_rows(maps) == [False] * 4


def test_the_model_is_a_stock_one_before_and_after_training():
    model = estimator()
    keys = set(model.state_dict())
    hook = started(model, sources='all')
    assert set(model.state_dict()) == keys
    assert len(model.backbone._forward_hooks) == 1
    hook.after_train(runner_of(model))
    assert not model.backbone._forward_hooks
    hook.after_train(runner_of(model))


def test_a_copy_of_the_training_model_can_be_made():
    """As averages of weights are."""
    model = estimator()
    started(model)
    assert set(copy.deepcopy(model).state_dict()) == set(model.state_dict())


def test_nested_features_are_dropped_and_keep_their_nesting():
    model = estimator(nested=True)
    ((first, second),) = features(started(model), model)
    assert changed_rows(first) == changed_rows(second) == [False, True, False, True]


def test_behind_a_neck_its_output_is_dropped():
    """Vectors here: the head of a regression sees no maps."""
    model = estimator(neck=dict(type='GlobalAveragePooling'), shapes=SHAPES[:1])
    hook = started(model, sources='all')
    (vectors,) = features(hook, model)
    assert vectors.shape == (4, 8)
    assert set(vectors[0].tolist()) <= {0.0, 2.0}
    assert changed_rows(vectors) == [True, True, False, True]
    assert not model.backbone._forward_hooks


def test_channels_follow_from_seed_and_iteration_alone():
    model, other_model = estimator(), estimator()
    hook, other_hook = started(model), started(other_model)
    state = torch.get_rng_state()
    first = features(hook, model, iteration=7)
    # What else draws is not disturbed.
    assert torch.equal(state, torch.get_rng_state())
    assert all(map(torch.equal, first, features(other_hook, other_model, iteration=7)))
    for other in (dict(iteration=8), dict(iteration=7, seed=4)):
        assert not all(map(torch.equal, first, features(hook, model, **other)))


def test_gradients_come_through_the_channels_that_are_kept():
    model = estimator(shapes=SHAPES[:1])
    (maps,) = features(started(model, rate=0.25), model)
    maps.sum().backward()
    # The derivative of the sum is the sum of the factors.
    assert model.backbone.scale.grad.item() == pytest.approx(maps.sum().item())


@pytest.mark.parametrize('rate', [-0.1, 0.95, 1, True, 'half'])
def test_a_rate_out_of_its_range_is_refused_and_the_advice_followed(rate):
    with pytest.raises(UserError, match=r'rate of FeatureDropoutHook must be a number'):
        FeatureDropoutHook(rate)
    for end in (0, 0.9):
        FeatureDropoutHook(end)


def test_unknown_sources_are_refused_and_the_advice_followed():
    with pytest.raises(UserError, match=r"must be one of pseudo, all, got 'some'"):
        FeatureDropoutHook(0.1, 'some')
    FeatureDropoutHook(0.1, 'all')


def test_a_model_without_features_is_refused_by_name():
    hook = FeatureDropoutHook(0.1)
    with pytest.raises(UserError, match=r'the model Linear; .*feature_dropout to 0'):
        hook.before_train(runner_of(nn.Linear(1, 1)))


def test_features_of_other_rows_are_refused_by_their_shape():
    model = estimator()
    with pytest.raises(UserError, match=r'each of the 2 samples .* \(4, 8, 6, 5\)'):
        features(started(model), model, kinds=(PSEUDO, PSEUDO))
