"""Toy student in one stage: labels of the toy's top-down teacher with its detector.

    python tools/train.py configs/distill/toy_one_stage/student.py

Needs `toy/teacher.py` and `toy/detector.py` trained; labels are those of
`toy/student.py`, and are made if they are not there.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/toy_one_stage/student'

distill = dict(
    teacher=dict(
        config='{{ fileDirname }}/../toy/teacher.py',
        checkpoint='work_dirs/toy/teacher/iter_500.pth',
    ),
    # As `toy/student.py` states them.
    views=dict(scales=(0.9, 1.0, 1.1)),
    labeling=dict(nms_thr=0.5),
    selection=dict(keypoint_thr=0.4),
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
    store='work_dirs/toy/labels',
    schedule=dict(max_factor=1.0),  # as long as the baseline
)
