"""Faces: HRNetV2-W18 on 300W, 68 keypoints, beside a folder of unlabeled faces.

    python tools/train.py configs/distill/face/hrnetv2-w18_300w.py

The teacher comes from MMPose's model zoo. Needs 300W in data/300w, photographs in
data/faces/images and face detections on them. Every labeled image has its face, so
instances are counted over annotated images. Not trained here.
"""

_base_ = [
    'mmpose::face_2d_keypoint/topdown_heatmap/300w/td-hm_hrnetv2-w18_8xb64-60e_300w-256x256.py',
    '../../_base_/distill.py',
]
work_dir = 'work_dirs/face/hrnetv2-w18_300w'
checkpoint = 'https://download.openmmlab.com/mmpose/face/hrnetv2/hrnetv2_w18_300w_256x256-eea53406_20211019.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    unlabeled=dict(
        data_root='data/faces/',
        data_prefix=dict(img='images/'),
        bbox_file='data/faces/detections.bbox.json',
    ),
    store='work_dirs/face/hrnetv2-w18_300w/labels',
    selection=dict(labeled_images='annotated'),
)
