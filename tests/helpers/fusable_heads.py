"""Heads whose outputs can be fused or can not, on one small network."""

from __future__ import annotations

from mmpose.models import build_pose_estimator

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
