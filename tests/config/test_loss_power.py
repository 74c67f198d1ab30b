"""How losses of the host count keypoint weights, measured; and what cannot."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.config.loss_power import (
    OF_NO_POWER,
    POWERS,
    power_of_source,
    with_loss_power,
)
from mmdistill.config.weight_options import WeightsConfig
from mmdistill.errors import UserError

WEIGHTS = WeightsConfig()
MAPS = ('KeypointMSELoss', 'KeypointOHKMMSELoss', 'AdaptiveWingLoss', 'JSDiscretLoss')
COORDINATES = ('L1Loss', 'MSELoss', 'SmoothL1Loss', 'SoftWingLoss', 'WingLoss')
COORDINATES = (*COORDINATES, 'SoftWeightSmoothL1Loss', 'MPJPELoss')
CLASSES = ('BCELoss', 'VariFocalLoss')


def loss(name, weight):
    """The loss of two samples of five keypoints, all of one weight."""
    torch.manual_seed(0)
    init_default_scope('mmpose')
    options = dict(topk=5) if name == 'KeypointOHKMMSELoss' else {}
    module = MODELS.build(dict(type=name, use_target_weight=True, **options))
    weights = torch.full((2, 5), weight)
    if name in MAPS:
        return module(torch.rand(2, 5, 4, 4), torch.rand(2, 5, 4, 4), weights)
    if name == 'CombinedTargetMSELoss':
        return module(torch.rand(2, 15, 4, 4), torch.rand(2, 15, 4, 4), weights)
    if name in COORDINATES:
        # Differences of a few percent of the crop.
        truth = torch.rand(2, 5, 2)
        return module(truth + 0.03 * torch.randn(2, 5, 2), truth, weights[..., None])
    if name in CLASSES:
        return module(torch.randn(2, 5), torch.rand(2, 5), weights)
    if name == 'RLELoss':
        truth = torch.rand(2, 5, 2)
        return module(truth + 0.1, torch.randn(2, 5, 2), truth, weights[..., None])
    if name == 'KLDiscretLoss':
        axes = [torch.randn(2, 5, 8), torch.randn(2, 5, 8)]
        return module(axes, [axis.softmax(-1) for axis in axes[::-1]], weights)
    if name == 'MLECCLoss':
        axes = [torch.rand(2, 5, 8).softmax(-1) for _ in range(4)]
        return module(axes[:2], axes[2:], weights).sum()
    # Divided by the sum of the weights of its peaks, here of the other sample.
    output, truth = torch.rand(2, 5, 4, 4), torch.rand(2, 5, 4, 4)
    weights[1] = 1.0
    truth[1, :, 0, 0] = 1.0
    zero = torch.cat([torch.zeros(1, 5), weights[1:]])
    return module(output, truth, weights) - module(output, truth, zero)


@pytest.mark.parametrize('name', POWERS)
def test_a_loss_counts_a_weight_at_its_power(name):
    full, quarter = loss(name, 1.0), loss(name, 0.25)
    assert full.abs() > 1e-6
    tolerance = 0.02 if name == 'WingLoss' else 1e-4
    torch.testing.assert_close(
        quarter, 0.25 ** POWERS[name] * full, rtol=tolerance, atol=1e-8
    )


@pytest.mark.parametrize('name', OF_NO_POWER)
def test_a_loss_of_no_power_counts_a_weight_at_none(name):
    full, half, quarter = (float(loss(name, w)) for w in (1.0, 0.5, 0.25))
    assert abs(half / full - quarter / half) > 0.02
    with pytest.raises(UserError, match=r'in exponents.*: weights must be None, got'):
        power_of_source(head(name), 1, WEIGHTS)
    with pytest.raises(UserError, match=r'pseudo_weight must be 1, got 0\.5'):
        power_of_source(head(name), 0.5, None)


def head(*names, **settings):
    losses = [dict(type=name, use_target_weight=True) for name in names]
    if len(losses) > 1:
        losses = [dict(type='MultipleLossWrapper', losses=losses)]
    return dict(type='Head', loss=losses[0], **settings)


@pytest.mark.parametrize(
    ('given', 'power'),
    [
        (dict(type='HeatmapHead'), 1),
        (dict(type='SimCCHead'), 1),
        (dict(type='RTMCCHead'), 1),
        (dict(type='RLEHead'), 1),
        (dict(type='RegressionHead'), 2),
        (dict(type='IntegralRegressionHead'), 2),
        (head('KLDiscretLoss'), 1),
        (dict(type='SimCCHead', loss=dict(type='KLDiscretLoss')), 1),
        (head('SmoothL1Loss', 'MSELoss'), 2),
        ({}, 1),
    ],
)
def test_the_losses_of_a_head_are_known_also_by_default(given, power):
    assert power_of_source(given, 1, WEIGHTS) == power
    assert power_of_source(given, 0.5, None) == power
    assert power_of_source(given, 1, None) is None
    assert power_of_source(given, 1, WeightsConfig(power=0)) is None


def test_losses_that_differ_are_refused():
    for given in (dict(type='DSNTHead'), head('SmoothL1Loss', 'JSDiscretLoss')):
        with pytest.raises(UserError, match='SmoothL1Loss, JSDiscretLoss some square'):
            power_of_source(given, 1, WEIGHTS)
        # A weight of 0 is 0 in all.
        assert power_of_source(given, 0, None) is None


STAGES = ['KeypointMSELoss', 'KeypointMSELoss', 'KeypointOHKMMSELoss'] * 2


def stages(names):
    losses = [dict(type=name, use_target_weight=True) for name in names]
    return dict(type='MSPNHead', loss=losses, level_indices=[0, 1, 2] * 2)


def test_each_level_of_a_head_of_stages_has_its_own_power():
    assert power_of_source(stages(STAGES), 1, WEIGHTS) == [1, 1, 2]
    assert power_of_source(stages(['KeypointMSELoss'] * 6), 1, WEIGHTS) == 1
    with pytest.raises(UserError, match='some square'):
        power_of_source(stages([*STAGES[:5], 'KeypointMSELoss']), 1, WEIGHTS)


def config(given, **settings):
    pseudo = dict(type='mmdistill.PseudoLabelDataset', store='labels', **settings)
    dataset = dict(type='ConcatDataset', datasets=[dict(type='CocoDataset'), pseudo])
    return Config(dict(model=dict(head=given), train_dataloader=dict(dataset=dataset)))


def power(made):
    return made.train_dataloader.dataset.datasets[1].get('loss_power', 'none')


def test_only_what_squares_weights_is_stated():
    squares, linear = head('MSELoss'), head('L1Loss')
    weights = WEIGHTS.arguments
    assert power(with_loss_power(config(squares, weights=weights))) == 2
    assert power(with_loss_power(config(squares, pseudo_weight=0.5))) == 2
    assert power(with_loss_power(config(stages(STAGES), weights=weights))) == [1, 1, 2]
    assert power(with_loss_power(config(linear, weights=weights))) == 'none'
    once = with_loss_power(config(squares, weights=weights))
    assert with_loss_power(once).pretty_text == once.pretty_text


@pytest.mark.parametrize('settings', [{}, dict(pseudo_weight=1), dict(weights=None)])
def test_without_weights_the_config_is_the_one_given(settings):
    given = config(dict(type='VisPredictHead'), **settings)
    assert with_loss_power(given) is given
    assert with_loss_power(Config({})).to_dict() == {}


@pytest.mark.parametrize(('name', 'stated'), [('MSELoss', 1), ('L1Loss', 2)])
def test_another_power_is_refused_and_the_right_one_taken(name, stated):
    given = config(head(name), weights=WEIGHTS.arguments, loss_power=stated)
    with pytest.raises(UserError, match=r'loss_power must be \d, got \d') as caught:
        with_loss_power(given)

    advised = int(str(caught.value).split('must be ')[1][0])
    given.train_dataloader.dataset.datasets[1].loss_power = advised

    assert advised == POWERS[name]
    assert with_loss_power(given)


def test_an_unknown_loss_is_warned_of_and_takes_what_is_stated(logged):
    given = config(head('mine.Loss'), weights=WEIGHTS.arguments)
    assert power(with_loss_power(given)) == 'none'
    assert any('the loss Loss is not known' in line for line in logged)
    logged.clear()

    given.train_dataloader.dataset.datasets[1].loss_power = 2

    assert power(with_loss_power(given)) == 2
    assert not any('is not known' in line for line in logged)


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        (dict(type='VisPredictHead'), 'learns the keypoint weights .* must be None'),
        (
            dict(type='HeatmapHead', loss=dict(type='KeypointMSELoss')),
            'weights by agreement would do nothing: the loss KeypointMSELoss needs',
        ),
    ],
)
def test_a_model_that_cannot_weigh_is_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        with_loss_power(config(given, weights=WEIGHTS.arguments))
    assert with_loss_power(config(given, weights=dict(power=0)))


CODEC = dict(type='RegressionLabel', input_size=(32, 32))


def test_a_sigma_is_refused_where_targets_have_none():
    weights = dict(WEIGHTS.arguments, sigma=2.0)
    given = config(head('L1Loss'), weights=weights)
    pseudo = given.train_dataloader.dataset.datasets[1]
    pseudo.pipeline = [dict(type='GenerateTarget', encoder=CODEC)]
    with pytest.raises(UserError, match='RegressionLabel have no sigma') as caught:
        with_loss_power(given)

    pseudo.weights.sigma = float(str(caught.value).split('must be ')[1].split(',')[0])

    assert with_loss_power(given)


@pytest.mark.parametrize(
    'name', ['DEKRHead', 'CIDHead', 'YOLOXPoseHead', 'RTMOHead', 'mmpose.RTMOHead']
)
def test_heads_of_whole_images_are_refused_by_name(name):
    """Their losses weight no single label, or only some of their terms."""
    given = dict(type=name, heatmap_loss={}, loss_vis={})
    sentence = rf'{name} trains by heatmap_loss, loss_vis, which .* must be 1, got 0\.5'
    with pytest.raises(UserError, match=sentence):
        with_loss_power(config(given, pseudo_weight=0.5))
    with pytest.raises(UserError, match='weights must be None, got'):
        power_of_source(given, 1, WEIGHTS)
    assert power_of_source(given, 1, None) is None


def test_weights_of_whole_images_are_seen():
    given = config(dict(type='CIDHead', coupled_heatmap_loss={}), pseudo_weight=2)
    given.train_dataloader.dataset.datasets[1].type = 'mmdistill.PseudoImageDataset'
    with pytest.raises(UserError, match='CIDHead trains by coupled_heatmap_loss'):
        with_loss_power(given)
