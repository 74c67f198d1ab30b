"""A top-down teacher and a one-stage student: HRNet-W48 labels, RTMO-s learns.

    python tools/train.py configs/distill/coco/hrnet-w48_to_rtmo-s.py

Reads the labels that `hrnet-w48_co-115_un-120.py` makes, and makes them if they are
not there. Needs COCO 2017 in data/coco and detections of people on unlabeled2017.
Not trained here.
"""

_base_ = 'rtmo-s_co-115_un-120.py'
work_dir = 'work_dirs/coco/hrnet-w48_to_rtmo-s'
distill = dict(
    teacher=dict(
        config='configs/distill/coco/hrnet-w48_co-115_un-120.py',
        checkpoint='https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-256x192-0e67c616_20220913.pth',
    ),
    store='work_dirs/coco/hrnet-w48_co-115_un-120/labels',
)
