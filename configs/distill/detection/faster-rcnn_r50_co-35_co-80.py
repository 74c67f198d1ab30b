"""Faster R-CNN, the paper's small-scale setting of section 6: co-35 and co-80.

    python tools/train.py configs/distill/detection/faster-rcnn_r50_co-35_co-80.py

Labels the images of co-80 with the teacher (`faster-rcnn_r50_co-35.py` must have run),
at nine scales, each also mirrored, then trains the student on both. Needs COCO 2017 in
data/coco and the splits of tools/make_splits.py. Not trained here.
"""

_base_ = ['faster-rcnn_r50_co-35.py', '../../_base_/boxes_co-80.py']
work_dir = 'work_dirs/detection/faster-rcnn_r50_co-35_co-80'

distill = dict(
    teacher=dict(checkpoint='work_dirs/detection/faster-rcnn_r50_co-35/epoch_12.pth'),
    store='work_dirs/detection/faster-rcnn_r50_co-35_co-80/labels',
    mixing=dict(labeled_share=0.6),
)
# Two images have no room for a share: of five, three are labeled.
train_dataloader = dict(batch_size=5)
