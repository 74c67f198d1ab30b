"""Published configs of MMPose, one or more per family."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COCO = 'body_2d_keypoint/topdown_heatmap/coco/td-hm'
SMALL = dict(input_size=(96, 128), heatmap_size=(24, 32))
SQUARE = dict(input_size=(128, 128), heatmap_size=(32, 32))


@dataclass(frozen=True)
class Published:
    """A published config, and what is known of its output.

    Attributes:
        config: Its path below `mmpose::`, without the ending.
        kind: What its head returns: 'heatmaps', 'offsets' (beside heatmaps),
            'vectors' or 'coordinates'.
        codec: Settings of its codec that are made smaller.
        head: Settings of its head that follow from these.
        middle: Share of a cell from its place in the heatmap to the pixel it says.
        shift: Cells by which its exact mirror lies right of the reversed output.
    """

    config: str
    kind: str
    codec: dict[str, Any] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    middle: float = 0.0
    shift: float = 0.0


INTEGRAL = dict(in_featuremap_size=(4, 4))
SHORT = dict(input_size=(96, 128))
SHORT_HEAD = dict(SHORT, in_featuremap_size=(3, 4))
PUBLISHED = {
    'MSRA': Published(
        f'{COCO}_mobilenetv2_8xb64-210e_coco-256x192', 'heatmaps', SMALL, shift=0.75
    ),
    'UDP': Published(
        'body_2d_keypoint/topdown_heatmap/coco/cspnext-tiny_udp_8xb256-210e_coco-256x192',
        'heatmaps',
        SMALL,
    ),
    'UDP, combined': Published(
        f'{COCO}_hrnet-w32_udp-regress-8xb64-210e_coco-256x192',
        'offsets',
        SMALL,
    ),
    'ViPNAS': Published(
        f'{COCO}_vipnas-mbv3_8xb64-210e_coco-256x192',
        'heatmaps',
        SMALL,
        shift=0.75,
    ),
    'CPM': Published(
        f'{COCO}_cpm_8xb64-210e_coco-256x192',
        'heatmaps',
        dict(input_size=(64, 96), heatmap_size=(8, 12)),
        shift=0.875,
    ),
    'Hourglass': Published(
        f'{COCO}_hourglass52_8xb32-210e_coco-256x256',
        'heatmaps',
        SQUARE,
        shift=0.75,
    ),
    'MSPN, Megvii': Published(
        f'{COCO}_mspn50_8xb32-210e_coco-256x192',
        'heatmaps',
        SMALL,
        dict(out_shape=(32, 24)),
        middle=0.5,
        shift=-0.25,
    ),
    'RSN, Megvii': Published(
        f'{COCO}_rsn18_8xb32-210e_coco-256x192',
        'heatmaps',
        SMALL,
        dict(out_shape=(32, 24)),
        middle=0.5,
        shift=-0.25,
    ),
    'SimCC': Published(
        'body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192',
        'vectors',
        SHORT,
        SHORT_HEAD,
        shift=-1.0,
    ),
    'RTMPose': Published(
        'body_2d_keypoint/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192',
        'vectors',
        SHORT,
        SHORT_HEAD,
        shift=-1.0,
    ),
    'RTMW': Published(
        'wholebody_2d_keypoint/rtmpose/cocktail14/'
        'rtmw-m_8xb1024-270e_cocktail14-256x192',
        'vectors',
        dict(SHORT, decode_visibility=True, decode_beta=1.0),
        SHORT_HEAD,
        shift=-1.0,
    ),
    'regression': Published(
        'body_2d_keypoint/topdown_regression/coco/td-reg_res50_8xb64-210e_coco-256x192',
        'coordinates',
        SHORT,
    ),
    'RLE': Published(
        'body_2d_keypoint/topdown_regression/coco/'
        'td-reg_res50_rle-8xb64-210e_coco-256x192',
        'coordinates',
        SHORT,
    ),
    'integral': Published(
        'body_2d_keypoint/integral_regression/coco/ipr_res50_8xb64-210e_coco-256x256',
        'coordinates',
        SQUARE,
        INTEGRAL,
    ),
    'DSNT': Published(
        'body_2d_keypoint/integral_regression/coco/'
        'ipr_res50_dsnt-8xb64-210e_coco-256x256',
        'coordinates',
        SQUARE,
        INTEGRAL,
    ),
    'visibility': Published(
        f'{COCO}-vis_res50_8xb64-210e_coco-aic-256x192-merge',
        'heatmaps',
        SMALL,
        shift=0.75,
    ),
}
