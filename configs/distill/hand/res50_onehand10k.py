"""Hands: ResNet-50 on OneHand10K, beside a folder of unlabeled hands.

    python tools/train.py configs/distill/hand/res50_onehand10k.py

The teacher comes from MMPose's model zoo. Needs OneHand10K in data/onehand10k,
photographs in data/hands/images and hand detections on them. Not trained here.
"""

_base_ = [
    'mmpose::hand_2d_keypoint/topdown_heatmap/onehand10k/td-hm_res50_8xb32-210e_onehand10k-256x256.py',
    '../../_base_/distill.py',
]
work_dir = 'work_dirs/hand/res50_onehand10k'
checkpoint = 'https://download.openmmlab.com/mmpose/hand/resnet/res50_onehand10k_256x256-739c8639_20210330.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    unlabeled=dict(
        data_root='data/hands/',
        data_prefix=dict(img='images/'),
        bbox_file='data/hands/detections.bbox.json',
    ),
    store='work_dirs/hand/res50_onehand10k/labels',
    selection=dict(labeled_images='annotated'),
)
