"""Unlabeled for detectors: co-80, the part of COCO's train2017 that was train2014."""

_base_ = 'distill.py'

distill = dict(
    unlabeled=dict(
        data_root='data/coco/',
        data_prefix=dict(img='train2017/'),
        ann_file='annotations/splits/co-35_boxes_unlabeled.json',
    ),
    # A sample has an image at all nine scales, each twice.
    labeling=dict(batch_size=2),
)
