"""Tests of which heads are fused and which are refused by name."""

import pytest
from mmengine.hub import get_config
from mmpose.models import build_pose_estimator

from mmdistill.errors import UserError
from mmdistill.functional.views import Frame
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.adapters.build import build_adapter, check_estimator
from mmdistill.models.adapters.heatmap import HeatmapAdapter
from mmdistill.models.adapters.offset import OffsetAdapter
from mmdistill.models.adapters.regression import CoordinateAdapter
from mmdistill.models.adapters.simcc import SimCCAdapter
from mmdistill.models.adapters.visibility import VisibilityAdapter

SIZES = dict(input_size=(64, 64), heatmap_size=(16, 16))
POSES = dict(
    type='RegressionHead',
    in_channels=512,
    num_joints=3,
    decoder=dict(type='RegressionLabel', input_size=(64, 64)),
)
SIMCC = dict(
    in_channels=512,
    out_channels=3,
    input_size=(64, 64),
    in_featuremap_size=(2, 2),
    deconv_out_channels=None,
    decoder=dict(type='SimCCLabel', input_size=(64, 64)),
)
INTEGRAL = dict(
    in_channels=512,
    in_featuremap_size=(2, 2),
    num_joints=3,
    deconv_out_channels=(32,) * 3,
    deconv_kernel_sizes=(4,) * 3,
    decoder=dict(type='IntegralRegressionLabel', sigma=2.0, **SIZES),
)
FUSABLE = {
    'SimCCHead': (SIMCC, SimCCAdapter),
    'RegressionHead': ({**POSES}, CoordinateAdapter),
    'RLEHead': ({**POSES}, CoordinateAdapter),
    'IntegralRegressionHead': (INTEGRAL, CoordinateAdapter),
    'DSNTHead': (INTEGRAL, CoordinateAdapter),
    'VisPredictHead': (dict(pose_cfg=POSES), VisibilityAdapter),
}
DEFORMABLE = dict(
    self_attn_cfg=dict(embed_dims=256, num_heads=8),
    ffn_cfg=dict(embed_dims=256, feedforward_channels=8),
)
UNFUSABLE = {
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
    'EDPoseHead': dict(
        num_queries=4,
        num_feature_levels=1,
        num_keypoints=3,
        as_two_stage=True,
        encoder=dict(num_layers=1, layer_cfg=DEFORMABLE),
        decoder=dict(
            num_layers=1,
            embed_dims=256,
            layer_cfg=dict(DEFORMABLE, cross_attn_cfg=dict(embed_dims=256)),
            num_feature_levels=1,
            num_group=2,
            num_dn=2,
            query_dim=4,
            num_box_decoder_layers=1,
            return_intermediate=True,
        ),
        out_head=dict(num_classes=2),
        positional_encoding=dict(num_pos_feats=128, normalize=True),
        denosing_cfg=dict(dn_labelbook_size=4),
        data_decoder=dict(type='EDPoseLabel', num_keypoints=3),
    ),
}
MULTI_STAGE = dict(
    in_channels=512,
    out_channels=3,
    num_stages=1,
    deconv_out_channels=None,
    final_layer=dict(kernel_size=1),
)


def resnet_with(head_type, head):
    estimator = (
        'BottomupPoseEstimator' if head_type in UNFUSABLE else 'TopdownPoseEstimator'
    )
    pooled = head.get('pose_cfg', head).get('num_joints') and head is not INTEGRAL
    return build_pose_estimator(
        dict(
            type=estimator,
            backbone=dict(type='ResNet', depth=18),
            neck=dict(type='GlobalAveragePooling') if pooled else None,
            head=dict(head, type=head_type),
            data_preprocessor=dict(type='PoseDataPreprocessor'),
        )
    )


@pytest.mark.parametrize('head_type', FUSABLE)
def test_a_head_has_the_adapter_of_its_family(head_type):
    head, adapter = FUSABLE[head_type]
    built = build_adapter(resnet_with(head_type, head))
    assert isinstance(built, adapter)
    assert built.frame == Frame(64, 64, use_udp=False)


@pytest.mark.parametrize('head_type', UNFUSABLE)
def test_a_bottom_up_or_one_stage_head_is_refused_by_name_with_what_to_use_instead(
    head_type,
):
    estimator = resnet_with(head_type, UNFUSABLE[head_type])
    with pytest.raises(UserError, match=f'{head_type} cannot be fused.*top-down'):
        HeatmapFusionTTA(estimator)


@pytest.mark.parametrize(
    ('name', 'head'),
    [
        ('body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640', 'RTMOHead'),
        (
            'body_2d_keypoint/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416',
            'YOLOXPoseHead',
        ),
        (
            'body_3d_keypoint/image_pose_lift/h36m/image-pose-lift_tcn_8xb64-200e_h36m',
            'TemporalRegressionHead',
        ),
        (
            'hand_3d_keypoint/internet/interhand3d/'
            'internet_res50_4xb16-20e_interhand3d-256x256',
            'InternetHead',
        ),
    ],
)
def test_a_published_model_of_another_kind_is_refused_by_name(name, head):
    model = get_config(f'mmpose::{name}.py').model
    if head != 'InternetHead':  # of a top-down estimator: known once it is built
        with pytest.raises(UserError, match=f'{head} cannot be fused.*top-down'):
            check_estimator(model)
    model.backbone.pop('init_cfg', None)
    with pytest.raises(UserError, match=f'{head} cannot be fused.*top-down'):
        HeatmapFusionTTA(model)


def test_a_model_without_a_codec_is_refused():
    head = dict(POSES, decoder=None)
    with pytest.raises(UserError, match=r'RegressionHead .* no codec'):
        HeatmapFusionTTA(resnet_with('RegressionHead', head))


def test_a_head_with_a_heatmap_per_stage_has_an_adapter():
    codec = dict(type='MSRAHeatmap', sigma=2, input_size=(64, 64), heatmap_size=(2, 2))
    estimator = resnet_with('CPMHead', dict(MULTI_STAGE, decoder=codec))
    assert isinstance(build_adapter(estimator), HeatmapAdapter)


def test_a_head_whose_stages_do_not_fit_its_codec_is_refused_with_what_it_returns():
    codec = dict(type='MSRAHeatmap', sigma=2.0, **SIZES)
    estimator = resnet_with('CPMHead', dict(MULTI_STAGE, decoder=codec))
    with pytest.raises(
        UserError, match=r'CPMHead cannot be fused: it returns a list of a tensor'
    ):
        HeatmapFusionTTA(estimator)


def test_a_head_with_another_codec_than_its_own_is_refused():
    codec = dict(type='SimCCLabel', input_size=(64, 64), simcc_split_ratio=3.0)
    with pytest.raises(UserError, match=r'SimCCHead .* \(1, 3, 128\)'):
        HeatmapFusionTTA(resnet_with('SimCCHead', dict(SIMCC, decoder=codec)))


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
    assert build_adapter(make_estimator(codec)).frame.use_udp is udp


def test_a_choice_of_warp_overrides_what_the_codec_needs(make_estimator):
    assert build_adapter(make_estimator('UDP'), use_udp=False).frame.use_udp is False


def test_offset_fields_beside_heatmaps_have_their_adapter():
    combined = dict(type='UDPHeatmap', heatmap_type='combined', **SIZES)
    head = dict(
        in_channels=512,
        out_channels=9,
        deconv_out_channels=(32,) * 3,
        deconv_kernel_sizes=(4,) * 3,
        decoder=combined,
    )
    adapter = build_adapter(resnet_with('HeatmapHead', head))
    assert isinstance(adapter, OffsetAdapter)
    assert adapter.frame.use_udp


@pytest.mark.parametrize('training', [False, True])
def test_looking_at_a_head_leaves_its_mode_alone(make_estimator, training):
    estimator = make_estimator().train(training)
    build_adapter(estimator, True)
    assert [part.training for part in estimator.modules()] == [training] * len(
        list(estimator.modules())
    )


def test_a_model_that_distills_by_itself_is_refused_unbuilt():
    with pytest.raises(UserError, match='DWPoseDistiller cannot be fused: it holds'):
        check_estimator(dict(type='DWPoseDistiller', teacher_cfg='a', student_cfg='b'))


@pytest.mark.parametrize(
    'model', [dict(type='TopdownPoseEstimator', head=dict(type='A')), dict(type='Own')]
)
def test_a_top_down_model_or_an_unknown_one_is_left_to_be_built(model):
    check_estimator(model)
