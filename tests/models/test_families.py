"""Tests of which heads are fused and which are refused by name."""

import pytest
from mmpose.models import build_pose_estimator

from mmdistill.errors import UserError
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.families import build_adapter
from mmdistill.models.heatmap_adapter import HeatmapAdapter

SIZES = dict(input_size=(64, 64), heatmap_size=(16, 16))
UNFUSABLE = {
    'SimCCHead': dict(
        in_channels=512,
        out_channels=3,
        input_size=(64, 64),
        in_featuremap_size=(2, 2),
        deconv_out_channels=None,
        decoder=dict(type='SimCCLabel', input_size=(64, 64)),
    ),
    'RegressionHead': dict(
        in_channels=512,
        num_joints=3,
        decoder=dict(type='RegressionLabel', input_size=(64, 64)),
    ),
    'IntegralRegressionHead': dict(
        in_channels=512,
        in_featuremap_size=(2, 2),
        num_joints=3,
        deconv_out_channels=(32,) * 3,
        deconv_kernel_sizes=(4,) * 3,
        decoder=dict(type='IntegralRegressionLabel', sigma=2.0, **SIZES),
    ),
    'AssociativeEmbeddingHead': dict(
        in_channels=512,
        num_keypoints=3,
        tag_dim=1,
        tag_per_keypoint=True,
        deconv_out_channels=(32,) * 3,
        keypoint_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        tag_loss=dict(type='AssociativeEmbeddingLoss'),
        decoder=dict(type='AssociativeEmbedding', sigma=2.0, **SIZES),
    ),
    'CIDHead': dict(
        in_channels=512,
        num_keypoints=3,
        gfd_channels=32,
        prior_prob=0.01,
        coupled_heatmap_loss=dict(type='FocalHeatmapLoss'),
        decoupled_heatmap_loss=dict(type='FocalHeatmapLoss'),
        contrastive_loss=dict(type='InfoNCELoss', temperature=0.05),
        decoder=dict(type='DecoupledHeatmap', **SIZES),
    ),
    'DEKRHead': dict(
        in_channels=512,
        num_keypoints=3,
        heatmap_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        displacement_loss=dict(type='SoftWeightSmoothL1Loss'),
        decoder=dict(type='SPR', sigma=(4, 2), **SIZES),
    ),
}
BOTTOM_UP = ('AssociativeEmbeddingHead', 'CIDHead', 'DEKRHead')


def resnet_with(head_type, head):
    estimator = (
        'BottomupPoseEstimator' if head_type in BOTTOM_UP else 'TopdownPoseEstimator'
    )
    return build_pose_estimator(
        dict(
            type=estimator,
            backbone=dict(type='ResNet', depth=18),
            head=dict(type=head_type, **head),
            data_preprocessor=dict(type='PoseDataPreprocessor'),
        )
    )


@pytest.mark.parametrize('head_type', UNFUSABLE)
def test_a_head_without_plain_heatmaps_is_refused_by_name(head_type):
    estimator = resnet_with(head_type, UNFUSABLE[head_type])
    with pytest.raises(UserError, match=f'{head_type} can not be fused'):
        HeatmapFusionTTA(estimator)


def test_a_head_with_a_heatmap_per_stage_is_refused_with_what_it_returns():
    head = dict(
        in_channels=512,
        out_channels=3,
        num_stages=1,
        deconv_out_channels=None,
        final_layer=dict(kernel_size=1),
        decoder=dict(type='MSRAHeatmap', sigma=2.0, **SIZES),
    )
    estimator = resnet_with('CPMHead', head)
    with pytest.raises(
        UserError, match='CPMHead can not be fused: it returns a list of 1'
    ):
        HeatmapFusionTTA(estimator)


def test_heatmaps_of_another_size_than_the_codec_says_are_refused():
    head = dict(
        in_channels=512,
        out_channels=3,
        deconv_out_channels=None,
        decoder=dict(type='MSRAHeatmap', sigma=2.0, **SIZES),
    )
    estimator = resnet_with('HeatmapHead', head)
    with pytest.raises(UserError, match=r'a tensor of shape \(1, 3, 2, 2\)'):
        HeatmapFusionTTA(estimator)


@pytest.mark.parametrize('codec', ['MSRA', 'DARK', 'UDP', 'Megvii'])
def test_a_plain_heatmap_head_has_an_adapter(make_estimator, codec):
    assert isinstance(build_adapter(make_estimator(codec), False), HeatmapAdapter)


@pytest.mark.parametrize(
    ('codec', 'udp'),
    [('MSRA', False), ('DARK', False), ('Megvii', False), ('UDP', True)],
)
def test_only_udp_codecs_need_udp(make_estimator, codec, udp):
    assert build_adapter(make_estimator(codec)).use_udp is udp


def test_a_choice_of_warp_overrides_what_the_codec_needs(make_estimator):
    assert build_adapter(make_estimator('UDP'), use_udp=False).use_udp is False


def test_offset_fields_beside_heatmaps_are_refused_by_name():
    combined = dict(type='UDPHeatmap', heatmap_type='combined', **SIZES)
    head = dict(
        in_channels=512,
        out_channels=9,
        deconv_out_channels=(32,) * 3,
        deconv_kernel_sizes=(4,) * 3,
        decoder=combined,
    )
    with pytest.raises(UserError, match=r"HeatmapHead .* UDPHeatmap .*'combined'"):
        HeatmapFusionTTA(resnet_with('HeatmapHead', head))


@pytest.mark.parametrize('training', [False, True])
def test_looking_at_a_head_leaves_its_mode_alone(make_estimator, training):
    estimator = make_estimator().train(training)
    build_adapter(estimator, True)
    assert [part.training for part in estimator.modules()] == [training] * len(
        list(estimator.modules())
    )
