"""Tests of which networks are shown at other resolutions, and in which sizes."""

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpose.models import TopdownPoseEstimator
from torch import nn

from mmdistill.errors import UserError
from mmdistill.functional.views import View
from mmdistill.models.adapters.build import build_adapter
from mmdistill.models.adapters.codecs import Layout, resized_codec
from mmdistill.models.adapters.layouts import Resolutions
from tests.helpers.fusable_heads import INTEGRAL, POSES, SIMCC

SIZES = dict(input_size=(96, 128), heatmap_size=(24, 32))
HEATMAPS = dict(
    type='HeatmapHead',
    in_channels=512,
    out_channels=3,
    deconv_out_channels=(8, 8, 8),
    deconv_kernel_sizes=(4, 4, 4),
    decoder=dict(type='MSRAHeatmap', sigma=2.0, **SIZES),
)
RESNET = dict(type='ResNet', depth=18)


class Patches(BaseModule):
    """Patches of 16 pixels, with positions that are fixed or resampled."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.project = nn.Conv2d(3, 512, 16, 16)
        self.positions = nn.Parameter(torch.zeros(1, 512, 8, 6))
        self.fixed = fixed

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        patches, positions = self.project(inputs), self.positions
        if not self.fixed:
            size = patches.shape[2:]
            positions = nn.functional.interpolate(positions, size, mode='bicubic')
        return (patches + positions,)


def make(head, backbone=RESNET):
    init_default_scope('mmpose')
    return TopdownPoseEstimator(backbone=backbone, head=dict(head)).eval()


def sizes_of(module, *resolutions):
    adapter = build_adapter(module, None, Resolutions(resolutions))
    frames = [adapter.frame_of(View(resolution=value)) for value in resolutions]
    return [(frame.width, frame.height) for frame in frames]


def test_a_residual_network_divides_by_32():
    expected = [(64, 96), (96, 128), (128, 160), (160, 192)]
    assert sizes_of(make(HEATMAPS), 0.7, 1.0, 1.3, 1.55) == expected


def test_resampled_positions_divide_by_the_patch():
    head = dict(HEATMAPS, deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4))
    module = make(head, dict(type=Patches, fixed=False))
    assert sizes_of(module, 0.7, 1.0, 1.3) == [(64, 80), (96, 128), (128, 176)]


def test_fixed_positions_are_refused_by_name():
    head = dict(HEATMAPS, deconv_out_channels=(8, 8), deconv_kernel_sizes=(4, 4))
    module = make(head, dict(type=Patches, fixed=True))
    with pytest.raises(UserError) as raised:
        build_adapter(module, None, Resolutions((1.0, 1.3)))
    message = str(raised.value)
    assert 'HeatmapHead on Patches cannot be shown at other resolutions' in message
    assert 'raises RuntimeError: The size of tensor a' in message
    assert message.endswith(
        'use scales, which magnify the crop, instead of resolutions'
    )
    assert '\n' not in message


@pytest.mark.parametrize(
    ('head', 'returned'),
    [
        (dict(SIMCC, type='SimCCHead'), 'vectors of as many bins'),
        (POSES, 'coordinates'),
        (dict(INTEGRAL, type='IntegralRegressionHead'), 'coordinates'),
        (dict(type='VisPredictHead', pose_cfg=POSES), 'coordinates'),
    ],
    ids=lambda value: value.get('type') if isinstance(value, dict) else '',
)
def test_other_families_are_refused_by_name(head, returned):
    neck = dict(type='GlobalAveragePooling') if returned == 'coordinates' else None
    init_default_scope('mmpose')
    pooled = neck if 'in_featuremap_size' not in head else None
    module = TopdownPoseEstimator(backbone=RESNET, neck=pooled, head=dict(head)).eval()
    build_adapter(module)
    message = (
        f'{head["type"]} on ResNet cannot be shown at other resolutions: it returns '
        f'{returned}.* use scales'
    )
    with pytest.raises(UserError, match=message):
        build_adapter(module, None, Resolutions((1.0, 1.5)))


def test_a_grid_of_its_own_is_another_resolution_too():
    with pytest.raises(UserError, match='cannot be shown at other resolutions'):
        build_adapter(make(dict(SIMCC, type='SimCCHead')), None, Resolutions((1.0,), 2))


def test_networks_are_not_run_for_the_resolution_one():
    module, runs = make(HEATMAPS), []
    module.backbone.register_forward_pre_hook(lambda *_: runs.append(1))
    build_adapter(module)
    assert len(runs) == 1


def test_the_mode_of_a_network_that_fails_is_kept():
    module = make(dict(HEATMAPS), dict(type=Patches, fixed=True))
    module.head.deconv_layers = nn.Identity()
    module.head.final_layer = nn.Sequential(
        nn.ConvTranspose2d(512, 3, 4, 4), nn.Identity()
    )
    module.train()
    with pytest.raises(UserError):
        build_adapter(module, None, Resolutions((1.5,)))
    assert module.training


def test_a_codec_that_keeps_no_arguments_is_refused():
    class Forgetful:
        input_size, heatmap_size = (96, 128), (24, 32)

        def __init__(self, radius):
            pass

    with pytest.raises(UserError, match='Forgetful does not keep its argument radius'):
        resized_codec(Forgetful(1), Layout((192, 256), (48, 64)))


def test_visibility_is_shown_at_the_resolutions_of_its_poses():
    module = make(dict(type='VisPredictHead', pose_cfg=HEATMAPS))
    assert sizes_of(module, 0.7, 1.0) == [(64, 96), (96, 128)]
