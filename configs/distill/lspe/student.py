"""The student: 600 labels and the pseudo-labels of 4,400 images, mixed 3 to 7.

    python tools/train.py configs/distill/lspe/student.py

Labels the images first (the teacher must be trained), then trains, at the end on the
human labels alone. Boxes are simulated detections, some of them false.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/lspe/student'

distill = dict(
    teacher=dict(
        config='configs/distill/lspe/teacher.py',
        checkpoint='work_dirs/lspe/teacher/iter_800.pth',
    ),
    # Gymnasts and climbers lean: turned views say more than small ones. Chosen on val.
    views=dict(scales=(1.0, 1.2, 1.4), rotations=(-30, 30)),
    unlabeled=dict(
        data_root='data/lspe/',
        data_prefix=dict(img='images/'),
        ann_file='annotations/unlabeled.json',
        bbox_file='data/lspe/annotations/unlabeled_boxes.json',
    ),
    store='work_dirs/lspe/labels',
    # A larger teacher labels well enough for most of a batch, and for its doubtful
    # keypoints to be of use. Both chosen on val.
    mixing=dict(labeled_share=0.3),
    selection=dict(keypoint_thr=0.1),
    schedule=dict(max_factor=1.0),  # as long as the baseline
    finish=dict(),
)
