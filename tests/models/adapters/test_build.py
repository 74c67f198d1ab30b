"""Tests of which heads are fused and which are refused by name."""

import pytest
from mmengine.hub import get_config

from mmdistill.errors import UserError
from mmdistill.functional.views import Frame
from mmdistill.models import HeatmapFusionTTA
from mmdistill.models.adapters.build import build_adapter, check_estimator
from mmdistill.models.adapters.heatmap import HeatmapAdapter
from mmdistill.models.adapters.offset import OffsetAdapter
from tests.helpers.fusable_heads import (
    FUSABLE,
    POSES,
    SIMCC,
    SIZES,
    UNFUSABLE,
    resnet_with,
)

MULTI_STAGE = dict(
    in_channels=512,
    out_channels=3,
    num_stages=1,
    deconv_out_channels=None,
    final_layer=dict(kernel_size=1),
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
