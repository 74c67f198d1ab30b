"""Animals: ResNet-50 on AP-10K's first split, beside a folder of unlabeled animals.

    python tools/train.py configs/distill/ap10k/res50.py

The teacher comes from MMPose's model zoo. Needs AP-10K in data/ap10k, a folder of
unlabeled animals in data/ap10k/unlabeled and their detections; 54 kinds of animals
are one kind of instance here. Not trained here.
"""

_base_ = [
    'mmpose::animal_2d_keypoint/topdown_heatmap/ap10k/td-hm_res50_8xb64-210e_ap10k-256x256.py',
    '../../_base_/distill.py',
]
work_dir = 'work_dirs/ap10k/res50'
checkpoint = 'https://download.openmmlab.com/mmpose/animal/resnet/res50_ap10k_256x256-35760eb8_20211029.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    unlabeled=dict(
        data_root='data/ap10k/',
        data_prefix=dict(img='unlabeled/'),
        bbox_file='data/ap10k/unlabeled.bbox.json',
    ),
    store='work_dirs/ap10k/res50/labels',
    selection=dict(labeled_images='annotated'),
)
