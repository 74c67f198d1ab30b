"""Small models with random weights that find instances, one of each family."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope
from mmpose.models import BottomupPoseEstimator
from torch import Tensor
from torch.nn import functional as F

KEYPOINTS = 3
FLIP_INDICES = [0, 2, 1]
LINKS = [(0, 1), (0, 2)]
SIGMAS = [0.05, 0.08, 0.08]
CHANNELS = 16


class Levels(BaseModule):
    """Backbone of one layer: mean colors of cells at several strides, mixed.

    Args:
        strides: Pixels of a cell along each side, one a level.
        kernel: Cells that a feature sees along each side.
    """

    def __init__(self, strides: Sequence[int], kernel: int = 3) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.mix = torch.nn.Conv2d(3, CHANNELS, kernel, padding=kernel // 2)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.mix(F.avg_pool2d(inputs, each)) for each in self.strides)


LOSS = dict(
    loss_cls=dict(type='BCELoss', reduction='sum'),
    loss_bbox=dict(type='IoULoss', reduction='sum'),
    loss_oks=dict(type='OKSLoss'),
    loss_vis=dict(type='BCELoss', reduction='mean'),
    assigner=dict(
        type='SimOTAAssigner',
        dynamic_k_indicator='oks',
        oks_calculator=dict(type='PoseOKS', metainfo=None),
    ),
)


def one_stage(kind: str, strides: tuple[int, ...], **settings: Any) -> dict[str, Any]:
    module = dict(in_channels=CHANNELS, stacked_convs=1)
    module |= settings.pop('module', {})
    head = dict(
        type=kind,
        num_keypoints=KEYPOINTS,
        featmap_strides=strides,
        head_module_cfg=module,
        prior_generator=dict(
            type='MlvlPointGenerator',
            centralize_points=True,
            strides=list(strides),
        ),
        **LOSS,
        **settings,
    )
    return dict(strides=strides, head=head, test_cfg=dict(score_thr=0.2, nms_thr=0.65))


def bottom_up(kind: str, **settings: Any) -> dict[str, Any]:
    test_cfg = settings.pop('test_cfg', {})
    head = dict(type=kind, in_channels=CHANNELS, num_keypoints=KEYPOINTS, **settings)
    return dict(strides=(4,), head=head, test_cfg=test_cfg)


CELLS = dict(input_size=(64, 64), heatmap_size=(16, 16))
MODELS: dict[str, dict[str, Any]] = {
    'YOLOX-Pose': one_stage('YOLOXPoseHead', (8, 16), module=dict(feat_channels=16)),
    'RTMO': one_stage(
        'RTMOHead',
        (8, 16),
        module=dict(
            # Half of the channels are for the scores, half for the poses.
            in_channels=CHANNELS // 2,
            cls_feat_channels=16,
            num_groups=2,
            channels_per_group=8,
            pose_vec_channels=16,
        ),
        dcc_cfg=dict(
            in_channels=16,
            feat_channels=16,
            num_bins=(12, 16),
            spe_channels=16,
            gau_cfg=dict(s=16, act_fn='SiLU', pos_enc='add'),
        ),
    ),
    'DEKR': bottom_up(
        'DEKRHead',
        num_heatmap_filters=8,
        num_displacement_filters_per_keypoint=3,
        decoder=dict(
            type='SPR',
            **CELLS,
            sigma=(4, 2),
            minimal_diagonal_length=1,
            generate_keypoint_heatmaps=True,
            decode_max_instances=8,
            decode_thr=-1e3,
        ),
        test_cfg=dict(nms_dist_thr=0.05),
    ),
    'CID': bottom_up(
        'CIDHead',
        gfd_channels=8,
        decoder=dict(type='DecoupledHeatmap', **CELLS),
        test_cfg=dict(blur_kernel_size=3, max_instances=6, score_threshold=0.0),
    ),
    'AE': bottom_up(
        'AssociativeEmbeddingHead',
        tag_dim=1,
        tag_per_keypoint=True,
        deconv_out_channels=None,
        keypoint_loss=dict(type='KeypointMSELoss', use_target_weight=True),
        tag_loss=dict(type='AssociativeEmbeddingLoss'),
        decoder=dict(
            type='AssociativeEmbedding',
            input_size=(64, 64),
            heatmap_size=(64, 64),
            decode_topk=6,
            decode_max_instances=8,
            decode_keypoint_thr=-1e3,
            decode_keypoint_order=[0, 1, 2],
        ),
        test_cfg=dict(restore_heatmap_size=True),
    ),
}
"""Parts of the models by the name of their family."""
RESIZE = dict(input_size=(64, 64), resize_mode='fit', size_factor=16, pad_val=114)
"""How images become the inputs of all of them."""


def finder_config(name: str, **test_cfg: Any) -> dict[str, Any]:
    """Config of a model, of which a part of the test config may be another."""
    parts = copy.deepcopy(MODELS[name])
    return dict(
        type='BottomupPoseEstimator',
        backbone=dict(type=Levels, strides=parts['strides']),
        head=parts['head'],
        test_cfg=dict(parts['test_cfg'], **test_cfg),
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[100.0] * 3, std=[50.0] * 3
        ),
    )


def build_finder_model(name: str, seed: int = 0, **test_cfg: Any) -> Any:
    """Build a model with random weights."""
    init_default_scope('mmpose')
    torch.manual_seed(seed)
    config = finder_config(name, **test_cfg)
    config.pop('type')
    model = BottomupPoseEstimator(**config)
    for parameter in model.head.parameters():
        # Layers that begin near 0 would give the same everywhere.
        if parameter.ndim > 1 and parameter.std() < 0.05:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def noise_image(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """An image of smooth noise, (height, width, 3), uint8."""
    rng = np.random.default_rng(seed)
    width, height = size
    coarse = torch.from_numpy(rng.uniform(50, 205, (1, 3, height // 6, width // 6)))
    smooth = F.interpolate(coarse, (height, width), mode='bicubic').clamp(0, 255)
    return smooth[0].permute(1, 2, 0).round().numpy().astype(np.uint8)


META = dict(flip_indices=FLIP_INDICES, skeleton_links=LINKS)


@torch.no_grad()
def host_predictions(model: Any, images: Sequence[np.ndarray], **resize: Any) -> list:
    """Predictions of the host's own test pipeline and model, one image a pass."""
    pipeline = Compose(
        [
            dict(type='BottomupResize', **{**RESIZE, **resize}),
            dict(
                type='PackPoseInputs',
                meta_keys=(
                    *('ori_shape', 'img_shape', 'input_size'),
                    *('input_center', 'input_scale', *META),
                ),
            ),
        ]
    )
    samples = []
    for image in images:
        item = pipeline(dict(img=image, ori_shape=image.shape[:2], **META))
        samples += model.test_step(pseudo_collate([item]))
    return samples


def batch_of(images: Sequence[np.ndarray]) -> dict[str, Any]:
    """Images as a `PoseFinder` takes them."""
    items = [
        Compose([dict(type='PackPoseInputs', meta_keys=('ori_shape', *META))])(
            dict(img=image, ori_shape=image.shape[:2], **META)
        )
        for image in images
    ]
    return pseudo_collate(items)


def init_finder_model():
    """A model that finds instances, as `mmpose.apis.init_model` gives it."""
    model = build_finder_model('YOLOX-Pose')
    resize = dict(RESIZE, type='BottomupResize')
    pipeline = [dict(type='LoadImage'), resize, dict(type='PackPoseInputs')]
    pipeline[-1]['meta_keys'] = (
        *('ori_shape', 'img_shape', 'input_size', 'input_center', 'input_scale'),
        *META,
    )
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    names = {i: f'k{i}' for i in range(3)}
    named = dict(keypoint_id2name=names, num_keypoints=3, sigmas=SIGMAS)
    model.dataset_meta = dict(META, **named)
    return model
