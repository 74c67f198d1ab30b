"""EDPose as a teacher: one view is the host's own prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.models import BottomupPoseEstimator

from mmdistill.errors import ConfigError
from mmdistill.models import PoseFinder
from mmdistill.models.finders.build import build_finder
from mmdistill.models.finders.queries import QueryFinder
from mmdistill.stages.image_teachers import resize_settings
from mmdistill.stages.label_config import whole_image_pipeline
from tests.helpers.finder_models import (
    CHANNELS,
    META,
    Levels,
    batch_of,
    noise_image,
)

KEYPOINTS, SELECTED, WIDTH = 3, 6, 256
SIGMAS = [0.05, 0.08, 0.08]
SCALES = [(48, 80)]
RESCALE = dict(
    type='BottomupRandomChoiceResize',
    scales=SCALES,
    keep_ratio=True,
    backend='pillow',
)
PACK = dict(
    type='PackPoseInputs',
    meta_keys=(
        *('ori_shape', 'img_shape', 'input_size', 'input_center', 'input_scale'),
        *META,
    ),
)


@pytest.fixture(scope='module')
def model() -> Any:
    """An EDPose of few layers, with random weights."""
    init_default_scope('mmpose')
    torch.manual_seed(0)
    attention = dict(embed_dims=WIDTH, num_heads=2, batch_first=True)
    deformable = dict(attention, num_levels=2, num_points=2)
    forward = dict(embed_dims=WIDTH, feedforward_channels=16, ffn_drop=0.0)
    head = dict(
        type='EDPoseHead',
        num_queries=12,
        num_feature_levels=2,
        num_keypoints=KEYPOINTS,
        as_two_stage=True,
        encoder=dict(
            num_layers=1,
            layer_cfg=dict(self_attn_cfg=deformable, ffn_cfg=dict(forward, num_fcs=2)),
        ),
        decoder=dict(
            num_layers=3,
            embed_dims=WIDTH,
            layer_cfg=dict(
                self_attn_cfg=attention, cross_attn_cfg=deformable, ffn_cfg=forward
            ),
            query_dim=4,
            num_feature_levels=2,
            num_group=4,
            num_dn=4,
            num_box_decoder_layers=2,
            return_intermediate=True,
        ),
        out_head=dict(num_classes=2, num_queries=12),
        positional_encoding=dict(
            num_pos_feats=WIDTH // 2, temperatureH=20, temperatureW=20, normalize=True
        ),
        denosing_cfg=dict(
            dn_box_noise_scale=0.4,
            dn_label_noise_ratio=0.5,
            dn_labelbook_size=4,
            dn_attn_mask_type_list=['match2dn', 'dn2dn', 'group2group'],
        ),
        data_decoder=dict(
            type='EDPoseLabel', num_select=SELECTED, num_keypoints=KEYPOINTS
        ),
    )
    built = BottomupPoseEstimator(
        backbone=dict(type=Levels, strides=(8, 16)),
        # The head's embeddings of boxes have this width only.
        neck=dict(
            type='ChannelMapper',
            in_channels=[CHANNELS] * 2,
            kernel_size=1,
            out_channels=WIDTH,
            act_cfg=None,
            num_outs=2,
        ),
        head=head,
        test_cfg=dict(num_select=SELECTED),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[100.0] * 3, std=[50.0] * 3
        ),
    )
    with torch.no_grad():
        # Its own initialization fails, and leaves some weights 0 besides.
        for part in (built.head.out_head, built.head.enc_out_class_embed):
            for weights in part.parameters():
                weights.add_(torch.randn_like(weights) * 0.05)
        # It begins as whatever lies in the memory.
        torch.nn.init.normal_(built.head.level_embed)
    return built.eval()


def find(model: Any, images: list[np.ndarray], **settings: Any) -> list[Any]:
    """Predicted instances of images, in one plain view by default."""
    own = dict(sigmas=SIGMAS, flip=False, **resize_settings([RESCALE], 'EDPoseHead'))
    finder = PoseFinder(model, **{**own, **settings}).eval()
    return [s.pred_instances for s in finder.test_step(batch_of(images))]


@torch.no_grad()
def host(model: Any, image: np.ndarray) -> Any:
    """Prediction of the host, best first."""
    item = Compose([RESCALE, PACK])(dict(img=image, ori_shape=image.shape[:2], **META))
    (sample,) = model.test_step(pseudo_collate([item]))
    predicted = sample.pred_instances
    order = np.argsort(-predicted.keypoint_scores.mean(axis=1), kind='stable')
    return predicted[order]


@pytest.mark.parametrize('size', [(72, 72), (60, 120), (131, 60)])
def test_one_view_is_the_prediction_of_the_host(model, size):
    image = noise_image(size)

    (found,) = find(model, [image])

    expected = host(model, image)
    assert len(found) == len(expected) == SELECTED
    assert np.ptp(expected.keypoints[..., 0]) > 1
    np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-3)
    np.testing.assert_allclose(found.bboxes, expected.bboxes, atol=1e-3)
    np.testing.assert_allclose(
        found.keypoint_scores, expected.keypoint_scores, atol=1e-5
    )
    assert (found.keypoint_scores == found.keypoint_scores[:, :1]).all()


def test_images_of_one_size_are_found_together_as_alone(model):
    images = [noise_image((90, 60), seed) for seed in range(3)]

    together = find(model, images, flip=True, resolutions=(1.0, 1.5))

    for one, image in zip(together, images, strict=True):
        (alone,) = find(model, [image], flip=True, resolutions=(1.0, 1.5))
        np.testing.assert_allclose(one.keypoints, alone.keypoints, atol=1e-3)
        assert len(one) > SELECTED


def test_the_finder_and_the_pipeline_are_those_of_the_head(model):
    assert isinstance(build_finder(model), QueryFinder)
    load = dict(type='LoadImage')
    kept = whole_image_pipeline([load, RESCALE, PACK])
    assert [step['type'] for step in kept] == ['LoadImage', 'PackPoseInputs']


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (dict(scales=[(48, 80), (64, 80)]), 'must have one scale of two sides'),
        (dict(scales=[48]), 'must have one scale of two sides'),
        (dict(keep_ratio=False), 'must have keep_ratio=True'),
    ],
)
def test_inputs_of_several_sizes_or_other_shapes_are_refused(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        resize_settings([dict(RESCALE, **change)], 'EDPoseHead')


def test_a_backend_that_does_not_resize_is_refused(model):
    with pytest.raises(ConfigError, match='backend must be one of'):
        find(model, [], backend='turbojpeg')
