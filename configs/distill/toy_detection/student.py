"""Person detector of the drawn figures: labels, and pseudo-labels of its teacher.

    python tools/train.py configs/distill/toy_detection/student.py

Finds the boxes of the unlabeled images first (`baseline.py`, the teacher, must have
run), then trains as long as the baseline. Time: about three minutes of CPU.
"""

_base_ = ['baseline.py', '../../_base_/distill.py']
work_dir = 'work_dirs/toy_detection/student'

distill = dict(
    teacher=dict(checkpoint='work_dirs/toy_detection/baseline/iter_500.pth'),
    views=dict(scales=(0.8, 1.0, 1.25)),
    unlabeled=dict(
        data_root='data/toy/',
        data_prefix=dict(img='images/unlabeled/'),
        ann_file='annotations/unlabeled.json',
    ),
    store='work_dirs/toy_detection/labels',
    schedule=dict(max_factor=1.0),  # as long as the baseline
)
