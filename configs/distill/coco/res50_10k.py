"""ResNet-50 on the first 10,000 labeled instances of COCO: a teacher.

    python tools/train.py configs/distill/coco/res50_10k.py

Needs COCO 2017 in data/coco and the splits of tools/make_splits.py. Not trained here.
"""

_base_ = 'res50_co-35.py'
work_dir = 'work_dirs/coco/res50_10k'
ann_file = 'annotations/splits/first-10000_labeled.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
