"""RTMDet-s, labeled co-115 (train2017), unlabeled un-120.

    python tools/train.py configs/distill/detection/rtmdet-s_co-115_un-120.py

The teacher is RTMDet-s of MMDetection's model zoo. Needs COCO 2017 in data/coco. Not
trained here.
"""

_base_ = ['mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py', '../../_base_/boxes_un-120.py']
work_dir = 'work_dirs/detection/rtmdet-s_co-115_un-120'
checkpoint = 'https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_s_8xb32-300e_coco/rtmdet_s_8xb32-300e_coco_20220905_161602-387a891e.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    store='work_dirs/detection/rtmdet-s_co-115_un-120/labels',
)
