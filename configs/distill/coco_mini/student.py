"""A few COCO photographs, half of them without people: shows the way of real data.

    python tools/label.py configs/distill/coco_mini/student.py

Detector and teacher have seen drawn figures only (`tools/distill.py` trains those of
`../toy/`): boxes and labels are poor. With `distill.detector.score_thr=0.45` nothing is found on many of the
photographs.
"""

_base_ = '../toy/student.py'
work_dir = 'work_dirs/coco_mini/student'

data_root = 'data/coco-mini/'
distill = dict(
    unlabeled=dict(
        data_root=data_root,
        data_prefix=dict(img='val2017/'),
        ann_file='',
    ),
    store='work_dirs/coco_mini/labels',
)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
)
