"""A few COCO photographs, half of them without people: shows the way of real data.

    python tools/make_boxes.py \
        data/coco-mini/annotations/person_keypoints_val2017.json \
        work_dirs/coco_mini/boxes.json
    python tools/label.py configs/distill/coco_mini/student.py

The teacher has seen drawn figures only (`make demo` trains it): its labels are poor.
"""

_base_ = '../toy/student.py'
work_dir = 'work_dirs/coco_mini/student'

data_root = 'data/coco-mini/'
distill = dict(
    unlabeled=dict(
        data_root=data_root,
        data_prefix=dict(img='val2017/'),
        ann_file='',
        bbox_file='work_dirs/coco_mini/boxes.json',
    ),
    labels='work_dirs/coco_mini/labels',
)
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
    )
)
