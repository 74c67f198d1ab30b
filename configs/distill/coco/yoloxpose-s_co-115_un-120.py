"""YOLOX-Pose-s, labeled co-115 (train2017), unlabeled un-120 (unlabeled2017).

    python tools/train.py configs/distill/coco/yoloxpose-s_co-115_un-120.py

The paper's large-scale setting, for a student that sees whole images. A top-down
teacher labels, HRNet-W32: the labels are those that `hrnet-w32_co-115_un-120.py` makes,
and are made if they are not there. Needs COCO 2017 in data/coco and detections of people
on unlabeled2017. Not trained here.
"""

_base_ = [
    'mmpose::body_2d_keypoint/yoloxpose/coco/yoloxpose_s_8xb32-300e_coco-640.py',
    '../../_base_/coco_un-120_hrnet-w32.py',
]
work_dir = 'work_dirs/coco/yoloxpose-s_co-115_un-120'
distill = dict(store='work_dirs/coco/hrnet-w32_co-115_un-120/labels')
