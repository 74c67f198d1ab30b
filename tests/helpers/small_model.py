"""A small estimator as `mmpose.apis.init_model` makes them."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmpose.apis import init_model

CODEC = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=2.0)


def init_small_model(**changes: Any) -> Any:
    """Initialize an estimator of 17 keypoints that was never trained.

    Args:
        **changes: Arguments of its codec.
    """
    codec = {**CODEC, **changes}
    pipeline = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=1.1),
        dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
        dict(type='PackPoseInputs'),
    ]
    estimator = dict(
        type='TopdownPoseEstimator',
        backbone=dict(type='ResNet', depth=18),
        head=dict(
            type='HeatmapHead',
            in_channels=512,
            out_channels=17,
            deconv_out_channels=(16, 16, 16),
            deconv_kernel_sizes=(4, 4, 4),
            decoder=codec,
        ),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', std=[60] * 3, mean=[99] * 3
        ),
    )
    config = dict(
        default_scope='mmpose',
        model=estimator,
        test_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=pipeline)),
    )
    return init_model(Config(config), device='cpu')
