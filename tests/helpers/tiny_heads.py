"""Small estimators of every family of heads and codec, which build in no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpose.models import TopdownPoseEstimator
from torch import Tensor
from torch.nn import functional as F

INPUT, CELLS, KEYPOINTS = (96, 128), (24, 32), 3
FLIP_INDICES = [0, 2, 1]
SIZES = dict(input_size=INPUT, heatmap_size=CELLS)
SQUARE = dict(input_size=(128, 128), heatmap_size=(32, 32), sigma=2.0)


class Pool(BaseModule):
    """Backbone that gives the mean colors of the cells of a grid."""

    def __init__(self, cells: tuple[int, int]) -> None:
        super().__init__()
        self.cells = cells[::-1]

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        return (F.adaptive_avg_pool2d(inputs, self.cells),)


def heatmap_head(**codec: Any) -> tuple[tuple[int, int], dict[str, Any]]:
    maps = 3 if codec.get('heatmap_type') == 'combined' else 1
    head = dict(
        type='HeatmapHead',
        in_channels=3,
        out_channels=maps * KEYPOINTS,
        deconv_out_channels=None,
        decoder=dict(SIZES, **codec),
    )
    if maps == 3:
        head['loss'] = dict(type='CombinedTargetMSELoss')
    return CELLS, head


def integral(type: str) -> tuple[tuple[int, int], dict[str, Any]]:
    head = dict(
        type=type,
        in_channels=3,
        in_featuremap_size=(4, 4),
        num_joints=KEYPOINTS,
        deconv_out_channels=(8, 8, 8),
        deconv_kernel_sizes=(4, 4, 4),
        decoder=dict(type='IntegralRegressionLabel', **SQUARE),
    )
    return (4, 4), head


REGRESSION = dict(
    in_channels=3,
    num_joints=KEYPOINTS,
    decoder=dict(type='RegressionLabel', input_size=INPUT),
)
MSRA = dict(type='MSRAHeatmap', sigma=2.0)
HEADS: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    'MSRA': heatmap_head(**MSRA),
    'DARK': heatmap_head(**MSRA, unbiased=True),
    'UDP': heatmap_head(type='UDPHeatmap', sigma=2.0),
    'UDP, combined': heatmap_head(type='UDPHeatmap', heatmap_type='combined'),
    'Megvii': heatmap_head(type='MegviiHeatmap', kernel_size=11),
    'ViPNAS': (
        (6, 8),
        dict(
            type='ViPNASHead',
            in_channels=3,
            out_channels=KEYPOINTS,
            deconv_out_channels=(16, 16),
            deconv_kernel_sizes=(4, 4),
            deconv_num_groups=(1, 1),
            decoder=dict(SIZES, **MSRA),
        ),
    ),
    'visibility': (
        CELLS,
        dict(
            type='VisPredictHead',
            loss=dict(type='BCELoss', use_target_weight=True, use_sigmoid=True),
            pose_cfg=heatmap_head(**MSRA)[1],
        ),
    ),
    'SimCC': (
        (3, 4),
        dict(
            type='SimCCHead',
            in_channels=3,
            out_channels=KEYPOINTS,
            input_size=INPUT,
            in_featuremap_size=(3, 4),
            simcc_split_ratio=2,
            deconv_out_channels=None,
            decoder=dict(type='SimCCLabel', input_size=INPUT, simcc_split_ratio=2.0),
        ),
    ),
    'RTMPose': (
        (3, 4),
        dict(
            type='RTMCCHead',
            in_channels=3,
            out_channels=KEYPOINTS,
            input_size=INPUT,
            in_featuremap_size=(3, 4),
            simcc_split_ratio=2,
            final_layer_kernel_size=1,
            gau_cfg=dict(
                hidden_dims=16,
                s=8,
                expansion_factor=2,
                dropout_rate=0.0,
                drop_path=0.0,
                act_fn='SiLU',
                use_rel_bias=False,
                pos_enc=False,
            ),
            decoder=dict(
                type='SimCCLabel',
                input_size=INPUT,
                simcc_split_ratio=2.0,
                normalize=False,
                use_dark=True,
            ),
        ),
    ),
    'regression': ((1, 1), dict(type='RegressionHead', **REGRESSION)),
    'RLE': ((1, 1), dict(type='RLEHead', **REGRESSION)),
    'integral': integral('IntegralRegressionHead'),
    'DSNT': integral('DSNTHead'),
}
"""Cells of the features that a head takes, and its config."""


def tiny_estimator(family: str) -> TopdownPoseEstimator:
    """An estimator of a family with random weights."""
    init_default_scope('mmpose')
    torch.manual_seed(0)
    cells, head = HEADS[family]
    return TopdownPoseEstimator(
        backbone=dict(type=Pool, cells=cells),
        head=dict(head),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[128] * 3, std=[64] * 3
        ),
    ).eval()


def each_tensor(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A head's output, of which every tensor is changed."""
    if isinstance(output, Tensor):
        return change(output)
    if output is None:
        return None
    return type(output)(each_tensor(part, change) for part in output)
