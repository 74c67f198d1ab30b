"""Students of whole images, as MMPose's configs have them, made small."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.hub import get_config

SIDE = 96
"""Side of the input in pixels; that of heatmaps is a quarter."""
SIDES = ([640, 640], [416, 416], [512, 512])
FOLDER = 'body_2d_keypoint'
PUBLISHED = {
    'rtmo-t': f'{FOLDER}/rtmo/body7/rtmo-t_8xb32-600e_body7-416x416',
    'rtmo-s': f'{FOLDER}/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640',
    'rtmo-m': f'{FOLDER}/rtmo/coco/rtmo-m_16xb16-600e_coco-640x640',
    'rtmo-l': f'{FOLDER}/rtmo/coco/rtmo-l_16xb16-600e_coco-640x640',
    'yoloxpose-s': f'{FOLDER}/yoloxpose/coco/yoloxpose_s_8xb32-300e_coco-640',
    'yoloxpose-m': f'{FOLDER}/yoloxpose/coco/yoloxpose_m_8xb32-300e_coco-640',
    'yoloxpose-l': f'{FOLDER}/yoloxpose/coco/yoloxpose_l_8xb32-300e_coco-640',
    'dekr': f'{FOLDER}/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512',
    'cid': f'{FOLDER}/cid/coco/cid_hrnet-w32_8xb20-140e_coco-512x512',
}
"""Configs of students by a short name."""
WIDTH = 1 / 16
"""Width of networks of the YOLOX family, a power of two below all published ones."""


def published(name: str) -> Config:
    """A config of MMPose, with its data."""
    return copy.deepcopy(_read(PUBLISHED.get(name, name)))


@functools.cache
def _read(name: str) -> Config:
    return get_config(f'mmpose::{name}.py')


def shrink(config: Config) -> Config:
    """The config with a small input, a thin network, and weights from no file."""
    config = Config(_small(config.to_dict()), filename=config.filename)
    model = config.model
    head = model.head
    if model.backbone.type == 'HRNet':
        model.backbone.extra = _thin_stages()
        # Bilinear joins of four resolutions of 4, 8, 16 and 32 channels.
        head.in_channels = 60
        if head.type == 'DEKRHead':
            head.update(num_heatmap_filters=8, num_displacement_filters_per_keypoint=2)
    else:
        _thin_yolox(model)
    return config


def _small(value: Any) -> Any:
    """A config with small sizes, and without initial weights."""
    if isinstance(value, Mapping):
        return {
            key: (96, 128) if key == 'random_size_range' else _small(inner)
            for key, inner in value.items()
            if key != 'init_cfg' or 'Pretrained' not in str(inner)
        }
    if isinstance(value, Sequence) and not isinstance(value, str):
        if list(value) in SIDES:
            return type(value)([SIDE, SIDE])
        if list(value) == [128, 128]:
            return type(value)([SIDE // 4, SIDE // 4])
        return type(value)(map(_small, value))
    return value


def _thin_stages() -> dict[str, Any]:
    stages = dict(
        stage1=dict(num_branches=1, block='BOTTLENECK', num_channels=(4,)),
        stage2=dict(num_branches=2, block='BASIC', num_channels=(4, 8)),
        stage3=dict(num_branches=3, block='BASIC', num_channels=(4, 8, 16)),
        stage4=dict(
            num_branches=4,
            block='BASIC',
            num_channels=(4, 8, 16, 32),
            multiscale_output=True,
        ),
    )
    for stage in stages.values():
        stage.update(num_modules=1, num_blocks=(1,) * stage['num_branches'])
    return stages


def _thin_yolox(model: Any) -> None:
    """A backbone of a sixteenth of YOLOX's widths, and what follows it."""
    model.backbone.update(widen_factor=WIDTH, deepen_factor=0.33)
    widths = [int(width * WIDTH) for width in (256, 512, 1024)]
    model.neck.in_channels = widths
    if model.neck.type == 'YOLOXPAFPN':
        model.neck.update(out_channels=16, num_csp_blocks=1)
        model.head.head_module_cfg.update(in_channels=256, widen_factor=WIDTH)
        return
    model.neck.update(hidden_dim=32, widen_factor=WIDTH, deepen_factor=0.33)
    model.neck.encoder_cfg = dict(
        self_attn_cfg=dict(embed_dims=32, num_heads=2, dropout=0.0),
        ffn_cfg=dict(
            embed_dims=32,
            feedforward_channels=64,
            ffn_drop=0.0,
            act_cfg=dict(type='GELU'),
        ),
    )
    model.neck.projector.update(in_channels=[32, 32], out_channels=32)
    model.head.head_module_cfg.update(
        in_channels=32, cls_feat_channels=32, pose_vec_channels=32, widen_factor=0.5
    )
    model.head.dcc_cfg.update(in_channels=32, feat_channels=16, spe_channels=16)
    model.head.dcc_cfg.gau_cfg.update(s=16)
