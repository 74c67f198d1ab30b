"""ViTPose-B, labeled co-115 (train2017), unlabeled un-120 (unlabeled2017).

    python tools/train.py configs/distill/coco/vitpose-b_co-115_un-120.py

The paper's large-scale setting. The teacher comes from MMPose's model zoo. Needs
mmpretrain, COCO 2017 in data/coco and detections of people on unlabeled2017.
Not trained here.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-base_8xb64-210e_coco-256x192.py',
    '../../_base_/coco_un-120.py',
]
work_dir = 'work_dirs/coco/vitpose-b_co-115_un-120'
checkpoint = 'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-base_8xb64-210e_coco-256x192-216eae50_20230314.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    store='work_dirs/coco/vitpose-b_co-115_un-120/labels',
)
