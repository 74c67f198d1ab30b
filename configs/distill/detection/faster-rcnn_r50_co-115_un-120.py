"""Faster R-CNN, ResNet-50, labeled co-115 (train2017), unlabeled un-120.

    python tools/train.py configs/distill/detection/faster-rcnn_r50_co-115_un-120.py

The paper's large-scale setting of section 6. The teacher comes from MMDetection's model
zoo. Needs COCO 2017 in data/coco. Not trained here.
"""

_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    '../../_base_/boxes_un-120.py',
]
work_dir = 'work_dirs/detection/faster-rcnn_r50_co-115_un-120'
checkpoint = 'https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_1x_coco/faster_rcnn_r50_fpn_1x_coco_20200130-047c8118.pth'
distill = dict(
    teacher=dict(checkpoint=checkpoint),
    store='work_dirs/detection/faster-rcnn_r50_co-115_un-120/labels',
)
