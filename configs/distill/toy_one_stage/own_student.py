"""Toy student in one stage, taught by a model of its own kind: the baseline.

    python tools/train.py configs/distill/toy_one_stage/own_student.py

Needs `baseline.py` trained. Its labels need no detector.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/toy_one_stage/own_student'

distill = dict(
    teacher=dict(checkpoint='work_dirs/toy_one_stage/baseline/iter_1500.pth'),
    views=dict(scales=(1.0,), resolutions=(0.75, 1.0, 1.25)),
    labeling=dict(nms_thr=0.5),
    unlabeled=dict(
        data_root='data/toy/',
        data_prefix=dict(img='images/unlabeled/'),
        ann_file='annotations/unlabeled.json',
    ),
    store='work_dirs/toy_one_stage/own_labels',
    schedule=dict(max_factor=1.0),  # as long as the baseline
)
