"""RTMPose-m, labeled co-115 (train2017), unlabeled un-120 (unlabeled2017).

    python tools/train.py configs/distill/coco/rtmpose-m_co-115_un-120.py

The paper's large-scale setting. The teacher comes from MMPose's model zoo. Needs
albumentations, COCO 2017 in data/coco and detections of people on unlabeled2017.
Not trained here.
"""

_base_ = [
    'mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py',
    '../../_base_/coco_un-120_crops.py',
]
work_dir = 'work_dirs/coco/rtmpose-m_co-115_un-120'
checkpoint = 'https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/rtmpose-m_simcc-coco_pt-aic-coco_420e-256x192-d8dd5ca4_20230127.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    store='work_dirs/coco/rtmpose-m_co-115_un-120/labels',
)
