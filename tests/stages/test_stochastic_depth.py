"""The rate of stochastic depth is set where a network has it, and only there."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import mmpose
import pytest
from mmcv.cnn.bricks import DropPath
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mmdistill.config.noise_options import NoiseConfig
from mmdistill.errors import UserError
from mmdistill.stages.noise import with_noise
from mmdistill.stages.stochastic_depth import with_drop_path

COCO = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_'
RTMPOSE = 'body_2d_keypoint/rtmpose/coco/rtmpose-s_8xb256-420e_coco-256x192'
WITH = {
    'Swin': f'{COCO}swin-t-p4-w7_8xb32-210e_coco-256x192',
    'PVT': f'{COCO}pvt-s_8xb64-210e_coco-256x192',
    'PVTv2': f'{COCO}pvtv2-b2_8xb64-210e_coco-256x192',
    'HRFormer': f'{COCO}hrformer-small_8xb32-210e_coco-256x192',
    'ViT': f'{COCO}ViTPose-small_8xb64-210e_coco-256x192',
    'RTMPose': RTMPOSE,
}
WITHOUT = {
    'ResNet': f'{COCO}res50_8xb64-210e_coco-256x192',
    'HRNet': f'{COCO}hrnet-w32_8xb64-210e_coco-256x192',
    'MobileNetV2': f'{COCO}mobilenetv2_8xb64-210e_coco-256x192',
    'CSPNeXt': 'body_2d_keypoint/topdown_heatmap/coco/'
    'cspnext-s_udp_8xb256-210e_coco-256x192',
}


def model_of(name):
    root = Path(mmpose.__file__).parent / '.mim' / 'configs'
    return Config.fromfile(root / f'{name}.py').model.to_dict()


def rates(model):
    """The rates of all layers of stochastic depth in a built model."""
    init_default_scope('mmpose')
    model = copy.deepcopy(model)
    model['backbone'].pop('init_cfg', None)
    model['backbone'].pop('pretrained', None)
    built = MODELS.build(model)
    return [
        float(layer.drop_prob)
        for layer in built.modules()
        if isinstance(layer, DropPath)
    ]


@pytest.mark.parametrize('family', WITH)
def test_the_rate_reaches_the_layers(family):
    model = model_of(WITH[family])
    before = copy.deepcopy(model)
    # A backbone has rates that rise with the depth up to the one that is stated.
    assert max(rates(with_drop_path(model, 0.375))) == pytest.approx(0.375)
    assert max(rates(with_drop_path(model, 0.0)), default=0) == 0
    assert model == before


@pytest.mark.parametrize('family', WITHOUT)
def test_a_backbone_without_it_is_refused_by_name_and_the_advice_followed(family):
    config = Config(dict(model=model_of(WITHOUT[family])))
    backbone = config.model.backbone.type
    steps = [dict(type=name) for name in ('TopdownAffine', 'GenerateTarget')]
    config.train_dataloader = dict(dataset=dict(type='CocoDataset', pipeline=steps))
    with pytest.raises(UserError, match=f'backbone {backbone} .* has') as error:
        with_noise(config, NoiseConfig('all', drop_path=0.1))
    assert re.findall(r'leave (\w+) out: (\w+) works', str(error.value)) == [
        ('drop_path', 'feature_dropout')
    ]
    with_noise(config, NoiseConfig('all', feature_dropout=0.1))


def test_a_head_that_states_no_settings_keeps_the_others_of_its_default():
    model = model_of(RTMPOSE)
    del model['head']['gau_cfg']
    head = with_drop_path(model, 0.25)['head']
    assert head['gau_cfg']['drop_path'] == 0.25
    assert head['gau_cfg']['hidden_dims'] == 256


class Deep(BaseModule):
    """A backbone with an argument of another name."""

    def __init__(self, drop_connect_rate=0.2):
        super().__init__()


class Deeper(Deep):
    """One that passes its arguments on."""

    def __init__(self, width=1, **kwargs):
        super().__init__(**kwargs)


class Closed(Deep):
    """One that does not."""

    def __init__(self, width=1):
        super().__init__()


class Inherited(Deep):
    """One without a constructor of its own."""


@pytest.mark.parametrize('kind', [Deep, Deeper, Inherited])
def test_arguments_are_those_of_the_constructor_and_its_bases(kind):
    made = with_drop_path(dict(backbone=dict(type=kind)), 0.5)
    assert made['backbone']['drop_connect_rate'] == 0.5
    kind(**{key: value for key, value in made['backbone'].items() if key != 'type'})


@pytest.mark.parametrize('kind', [Closed, 'NoSuchBackbone', None])
def test_arguments_that_nobody_takes_are_not_given(kind):
    with pytest.raises(UserError, match='needs stochastic depth'):
        with_drop_path(dict(backbone=dict(type=kind)), 0.5)
