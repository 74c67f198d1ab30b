"""HRNet-W48, labeled co-115 (train2017), unlabeled un-120 (unlabeled2017).

    python tools/train.py configs/distill/coco/hrnet-w48_co-115_un-120.py

The paper's large-scale setting. The teacher comes from MMPose's model zoo. Needs
COCO 2017 in data/coco and detections of people on unlabeled2017.
Not trained here.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-256x192.py',
    '../../_base_/coco_un-120.py',
]
work_dir = 'work_dirs/coco/hrnet-w48_co-115_un-120'
checkpoint = 'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-256x192-0e67c616_20220913.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    store='work_dirs/coco/hrnet-w48_co-115_un-120/labels',
)
