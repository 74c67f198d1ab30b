"""Faster R-CNN, ResNet-50, on co-35, the part of train2017 that was val2014: a teacher.

    python tools/train.py configs/distill/detection/faster-rcnn_r50_co-35.py

Needs COCO 2017 in data/coco and the splits of tools/make_splits.py. Not trained here.
"""

_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
work_dir = 'work_dirs/detection/faster-rcnn_r50_co-35'
train_dataloader = dict(
    dataset=dict(ann_file='annotations/splits/co-35_boxes_labeled.json')
)
