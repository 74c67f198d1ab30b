"""Toy student in one stage: labels of a larger top-down teacher with a detector.

    python tools/train.py configs/distill/toy_one_stage/student.py

Needs `teacher.py` and `toy/detector.py` trained; labels first, then trains.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/toy_one_stage/student'

distill = dict(
    teacher=dict(
        config='{{ fileDirname }}/teacher.py',
        checkpoint='work_dirs/toy_one_stage/teacher/iter_300.pth',
    ),
    views=dict(scales=(1.0,)),
    # The boxes are rough: each is fitted around the pose in it and looked at again.
    labeling=dict(nms_thr=0.5, refit_boxes=True),
    unlabeled=dict(
        data_root='data/toy/',
        data_prefix=dict(img='images/unlabeled/'),
        ann_file='annotations/unlabeled.json',
    ),
    detector=dict(
        config='{{ fileDirname }}/../toy/detector.py',
        checkpoint='work_dirs/toy/detector/iter_400.pth',
        categories=('person',),
        score_thr=0.1,
    ),
    store='work_dirs/toy_one_stage/labels',
    # A larger teacher labels well enough for most of a batch.
    mixing=dict(labeled_share=0.3),
    schedule=dict(max_factor=1.0),  # as long as the baseline
)
