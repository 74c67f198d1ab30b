"""Tests of views at other resolutions, against MMPose at that input size."""

import numpy as np
import pytest
import torch
from mmengine.model import BaseModule
from mmpose.models import TopdownPoseEstimator
from torch.nn import functional as F

from mmdistill.models import HeatmapFusionTTA
from tests.models.conftest import FLIP_INDICES, INPUT

SIZES = dict(input_size=INPUT, heatmap_size=(24, 32))
LARGE = dict(input_size=(144, 192), heatmap_size=(36, 48))
# Codecs of the same network at its own input size, and at 1.5 times that size: what is
# counted in cells grows, as between MMPose's configs for 256x192 and 384x288.
CODECS = {
    'MSRA': (dict(type='MSRAHeatmap', sigma=2.0), dict(sigma=3.0)),
    'DARK': (
        dict(type='MSRAHeatmap', sigma=2.0, unbiased=True),
        dict(sigma=3.0, blur_kernel_size=17),
    ),
    'UDP': (dict(type='UDPHeatmap', sigma=2.0), dict(sigma=3.0, blur_kernel_size=17)),
    'Megvii': (dict(type='MegviiHeatmap', kernel_size=11), dict(kernel_size=17)),
    'combined': (
        dict(type='UDPHeatmap', heatmap_type='combined', blur_kernel_size=3),
        dict(blur_kernel_size=5),
    ),
}


class Pooling(BaseModule):
    """Means of blocks of 4 x 4 pixels, of any input."""

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor]:
        return (F.avg_pool2d(inputs, 4),)


def make_estimator(codec: str, large: bool = False) -> TopdownPoseEstimator:
    """Estimator that sees bumps of channel k as keypoint k, from mixed channels."""
    own, grown = CODECS[codec]
    maps = 3 if codec == 'combined' else 1
    estimator = TopdownPoseEstimator(
        backbone=dict(type=Pooling),
        head=dict(
            type='HeatmapHead',
            in_channels=3,
            out_channels=3 * maps,
            deconv_out_channels=None,
            final_layer=dict(kernel_size=3, padding=1),
            decoder={**own, **grown, **LARGE} if large else {**own, **SIZES},
        ),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[0] * 3, std=[255] * 3
        ),
    )
    weight = torch.rand(3 * maps, 3, 3, 3, generator=torch.Generator().manual_seed(3))
    weight /= 20
    weight[range(0, 3 * maps, maps), range(3), 1, 1] += 1
    layer = estimator.head.final_layer
    layer.load_state_dict(dict(weight=weight, bias=torch.zeros(3 * maps)))
    return estimator.eval()


def fuse(estimator, given, **settings):
    images = [torch.from_numpy(i.transpose(2, 0, 1).copy()) for i in given.images]
    wrapper = HeatmapFusionTTA(estimator, fold_batch_norm=False, **settings)
    return wrapper.fuse(images, given.boxes, FLIP_INDICES)


@pytest.mark.parametrize('codec', CODECS)
def test_one_resolution_alone_is_mmposes_prediction_at_that_size(
    codec, some_images, predict_pipeline
):
    fused = fuse(make_estimator(codec), some_images, flip=False, resolutions=(1.5,))
    use_udp = codec in ('UDP', 'combined')
    instances = [
        sample.pred_instances
        for image, boxes in zip(some_images.images, some_images.boxes, strict=True)
        for sample in predict_pipeline(
            make_estimator(codec, large=True), image, boxes, use_udp, (144, 192)
        )
    ]
    np.testing.assert_allclose(
        fused.keypoints, np.concatenate([i.keypoints for i in instances]), atol=0.02
    )
    np.testing.assert_allclose(
        fused.keypoint_scores,
        np.concatenate([i.keypoint_scores for i in instances]),
        atol=0.002,
    )
