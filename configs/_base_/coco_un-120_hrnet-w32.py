"""Unlabeled: un-120, labeled by HRNet-W32 for students that see whole images."""

_base_ = 'coco_un-120.py'

distill = dict(
    teacher=dict(
        config='configs/distill/coco/hrnet-w32_co-115_un-120.py',
        checkpoint='https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth',
    ),
)
