"""The paper's small-scale setting: ResNet-50, labeled co-35, unlabeled co-80.

    python tools/train.py configs/distill/coco/res50_co-35_co-80.py

Labels the images of co-80 with the teacher (`res50_co-35.py` must have run), at nine
resolutions, each also mirrored, then trains the student on both. Needs COCO 2017 in
data/coco, the splits of tools/make_splits.py and detections of people on train2017.
The paper, with Mask R-CNN, gains about 5 AP in this setting. Not trained here.
"""

_base_ = ['res50_co-35.py', '../../_base_/coco_co-80.py']
work_dir = 'work_dirs/coco/res50_co-35_co-80'

distill = dict(
    teacher=dict(checkpoint='work_dirs/coco/res50_co-35/epoch_210.pth'),
    store='work_dirs/coco/res50_co-35_co-80/labels',
    # Every image of co-80 may be without people, and so may those of co-35.
    selection=dict(labeled_images='all'),
    mixing=dict(labeled_share=0.6),
)
