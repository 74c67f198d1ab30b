"""Toy student: the labeled figures and pseudo-labels of the unlabeled ones.

    python tools/train.py configs/distill/toy/student.py

Finds the boxes and labels them first (detector and teacher must be trained), then
trains.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/toy/student'

distill = dict(
    teacher=dict(checkpoint='work_dirs/toy/teacher/iter_500.pth'),
    # As far as this small teacher sees alike: at 0.8 and 1.25 it has half the AP.
    views=dict(scales=(0.9, 1.0, 1.1)),
    # The boxes are rough: poses of two boxes on one figure differ, and a keypoint
    # that scores little is often off.
    labeling=dict(nms_thr=0.5),
    selection=dict(keypoint_thr=0.4),
    unlabeled=dict(
        data_root='data/toy/',
        data_prefix=dict(img='images/unlabeled/'),
        ann_file='annotations/unlabeled.json',
    ),
    detector=dict(
        config='{{ fileDirname }}/detector.py',
        checkpoint='work_dirs/toy/detector/iter_400.pth',
        categories=('person',),
        # Each box takes six views; a figure that scores less is none.
        score_thr=0.1,
    ),
    store='work_dirs/toy/labels',
    schedule=dict(max_factor=1.0),  # as long as the baseline
)
